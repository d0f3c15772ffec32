"""What a real Prometheus and sonde are both asked of the series in `beside_data.py`.

Every function, aggregation and operator of Prometheus 2.42 is in here (a test counts them), and what 2.42 and 3 answer alike.
What they don't is in `DIFFERENT`, each with the reason.
"""

from __future__ import annotations

import re

from beside_data import BASE

SELECTORS = """
requests_total
requests_total{job!="api",code="500"}
requests_total{instance=~"10.0.0.[12]:80",method!~"P.*"}
{__name__=~"quota|owner"}
{job="batch"}
memory_bytes{room=""}
temperature_celsius{floor=~"1|2"}
session
flapping
sparse
once
holes_total
odd
mixed
spelled
spelled{text="new\\nline"}
spelled{text=~"[^a-z]+"}
spelled{text='back\\\\slash'}
colon:sum:rate5m
size_bytes
requests_total offset -10m
session offset 7m13s
ramp @ start()
ramp @ end()
ramp @ {at} offset 5m
ramp offset 5m @ end()
"""
"""`{at}` is put in below: a time within the data."""

RATES = """
rate(requests_total[5m])
rate(requests_total[20s])
rate(requests_total{job="web"}[5m] offset 10m)
rate(requests_total[5m] @ end())
rate(holes_total[2m])
rate(flat[5m])
irate(requests_total[5m])
irate(flapping[5m])
increase(requests_total[7m])
increase(stairs[10m] offset -5m)
delta(memory_bytes[5m])
idelta(memory_bytes[5m])
idelta(sparse[10m])
deriv(memory_bytes[5m])
deriv(session[2m])
deriv(flat[5m])
predict_linear(memory_bytes[10m], 3600)
predict_linear(temperature_celsius[5m], -60)
predict_linear(sparse[20m], scalar(flat))
changes(stairs[15m])
changes(flapping[5m])
changes(mixed[10m])
resets(saw[30m])
resets(requests_total[1h])
resets(temperature_celsius[5m])
"""

OVER_TIME = """
avg_over_time(memory_bytes[5m])
avg_over_time(mixed[5m])
avg_over_time(odd[5m])
sum_over_time(temperature_celsius[10m])
min_over_time(temperature_celsius[10m])
min_over_time(mixed[5m])
max_over_time(mixed{kind!="large"}[5m])
count_over_time(flapping[1m])
count_over_time(requests_total[37s])
quantile_over_time(0.9, temperature_celsius[10m])
quantile_over_time(1, session[10m])
quantile_over_time(0.5, mixed{kind="some_nan"}[5m])
stddev_over_time(memory_bytes[5m])
stddev_over_time(flat[5m])
stdvar_over_time(temperature_celsius[10m])
last_over_time(session[10m])
last_over_time(once[20m])
last_over_time(flapping[40s])
present_over_time(session[3m])
absent_over_time(session{life="middle"}[2m])
absent_over_time(nothing{job="x",a=~"b"}[5m])
absent_over_time(requests_total[5m])
"""

SUBQUERIES = """
max_over_time(rate(requests_total[1m])[10m:1m])
avg_over_time(temperature_celsius[10m:30s])
sum_over_time(stairs[10m:])
min_over_time(sum by (job) (rate(requests_total[2m]))[15m:2m])
count_over_time(session[20m:1m])
rate(sum by (job) (requests_total)[10m:30s])
deriv(rate(requests_total{job="api"}[2m])[10m:1m])
quantile_over_time(0.5, (temperature_celsius * 2)[5m:10s])
last_over_time(flapping[5m:7s])
max_over_time(avg_over_time(memory_bytes[2m])[10m:1m] offset 5m)
sum_over_time(ramp[5m:1m] @ end())
avg_over_time(avg_over_time(ramp[119s:30s])[5m:1m])
present_over_time((session > 10)[10m:1m])
absent_over_time((session > 1000)[10m:1m])
max_over_time(vector(time())[5m:37s])
stddev_over_time(vector(time())[10m:1m])
"""

AGGREGATIONS = """
sum by (job, code) (rate(requests_total[5m]))
sum without (instance, method) (rate(requests_total[5m]))
sum by () (quota)
sum without () (quota)
sum(session)
sum(odd)
avg(memory_bytes)
avg by (floor) (temperature_celsius)
avg(session)
avg(odd{kind!="nan"})
min(temperature_celsius)
max(temperature_celsius)
max(odd)
count by (job) ({job=~".+"})
count(nothing)
group(requests_total)
group by (job) ({job=~".+"})
stddev(temperature_celsius)
stddev by (job) (memory_bytes)
stdvar by (floor) (temperature_celsius)
quantile(0.5, memory_bytes)
quantile by (job) (0.9, rate(requests_total[5m]))
quantile(scalar(number{n="0"}), temperature_celsius)
quantile(0.3, session)
topk(3, rate(requests_total[5m]))
topk by (job) (1, memory_bytes)
topk(2, session)
topk(100, temperature_celsius)
topk(0, temperature_celsius)
topk(2, odd)
bottomk(2, temperature_celsius)
bottomk without (instance) (1, memory_bytes)
bottomk(3, odd)
count_values("value", stairs)
count_values by (job) ("v", quota)
count_values("limit", {__name__=~"quota|number"})
count_values("job", build_info)
sum(count by (instance) (build_info))
"""

OPERATORS = """
1 + 2 * 3 ^ 2 % 5 - 4 / 8
-2 ^ 2
2 ^ 3 ^ 2
-10 % 3
0 / 0
1 > bool 2
3 == bool 3
-temperature_celsius
temperature_celsius % 3
2 ^ temperature_celsius
temperature_celsius > 5
temperature_celsius >= bool 5
5 < temperature_celsius
5 <= bool temperature_celsius
flat == 3
odd == odd
odd != odd
odd > 0
odd * 0
temperature_celsius * temperature_celsius
memory_bytes - memory_bytes offset 5m
memory_bytes > on (job, instance) group_left () (quota * 1e6)
memory_bytes * on (job, instance) group_left (version) build_info
build_info * on (job, instance) group_right (version) memory_bytes
memory_bytes / on (job) group_left (team) owner
rate(requests_total[5m]) / on (job) group_left () quota
quota / on (job) group_right () sum by (job, code) (rate(requests_total[5m]))
rate(requests_total[5m]) * ignoring (method, code, instance) group_left (team) owner
sum by (job) (memory_bytes) / on (job) quota
memory_bytes > bool on (job) group_left () (quota * 3e6)
quota - ignoring (team) owner
temperature_celsius > on (room) (temperature_celsius offset 1m)
memory_bytes and on (job) owner
memory_bytes and on (instance) build_info{version="1.0"}
quota unless on (job) owner
session unless session{ended="told"}
memory_bytes or temperature_celsius
quota or on (job) owner
session or vector(0)
session and flat
flat or session
(memory_bytes > 5e8) or (memory_bytes < 4e8)
requests_total{code="500"} unless ignoring (code) requests_total{code="200"}
vector(1) == bool vector(1)
temperature_celsius == temperature_celsius
(1 - (sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m])))) * 100
"""

FUNCTIONS = """
abs(temperature_celsius - 5)
abs(number)
absent(nothing{a="b",c!="d"})
absent(requests_total)
absent(sum(nothing))
absent(session{life="late"})
acos(angle{of="unit"})
acosh(flat)
asin(angle{of="unit"})
asinh(angle)
atan(angle)
atanh(angle{of="unit"})
clamp(temperature_celsius, 0, 10)
clamp(temperature_celsius, 10, 0)
clamp_max(temperature_celsius, 4)
clamp_min(temperature_celsius, 4)
ceil(number)
cos(angle)
cosh(angle)
day_of_month(clock_seconds)
day_of_week(clock_seconds)
day_of_year(clock_seconds)
days_in_month(clock_seconds)
deg(angle)
exp(temperature_celsius)
exp(odd)
floor(number)
histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))
histogram_quantile(0.5, sum by (le) (rate(latency_seconds_bucket[5m])))
histogram_quantile(0.25, latency_seconds_bucket)
histogram_quantile(1, latency_seconds_bucket)
histogram_quantile(scalar(number{n="0"}), latency_seconds_bucket)
histogram_quantile(0.6, crooked_bucket)
histogram_quantile(0.5, open_bucket)
histogram_quantile(0.2, below_zero_bucket)
histogram_quantile(0.8, below_zero_bucket)
histogram_count(size_bytes)
histogram_sum(size_bytes)
histogram_count(sum(rate(size_bytes[5m])))
histogram_fraction(0, 1e9, size_bytes)
hour(clock_seconds)
hour()
label_join(quota, "both", "-", "job", "nothing", "job")
label_join(requests_total, "method", "/", "method", "code")
label_replace(requests_total, "host", "$1", "instance", "(.*):.*")
label_replace(requests_total, "host", "${1}x", "instance", "10.*")
label_replace(quota, "new", "value", "absent", "")
label_replace(spelled, "p", "$2-$1", "path", "/(.)/(..)/.")
ln(temperature_celsius)
log10(memory_bytes)
log2(memory_bytes)
minute(clock_seconds)
minute()
month(clock_seconds)
pi()
rad(angle)
round(number, 0.1)
round(vector(-2.5))
scalar(flat)
scalar(quota)
scalar(nothing)
sgn(temperature_celsius)
sgn(odd)
sin(angle)
sinh(angle)
sort(memory_bytes)
sort_desc(memory_bytes)
sqrt(temperature_celsius)
tan(angle)
tanh(angle)
time()
time() - timestamp(ramp)
timestamp(session)
timestamp(ramp offset 5m)
vector(scalar(flat) + 1)
vector(time())
year(clock_seconds)
year()
month(vector(1456790399))
days_in_month(vector(1454284800))
"""

NATIVE = """
rate(size_bytes[5m])
increase(size_bytes[10m])
sum(size_bytes)
sum by (job) (rate(size_bytes[5m]))
size_bytes{job="api"} + ignoring (job) size_bytes{job="web"}
histogram_sum(rate(size_bytes[5m])) / histogram_count(rate(size_bytes[5m]))
group by (job) (size_bytes)
absent(size_bytes)
timestamp(size_bytes)
count_over_time(size_bytes[5m])
"""

INSTANT_ONLY = """
"a text"
"ümlaut \\" and \\n"
requests_total{job="api"}[1m]
session[20m]
flapping[2m] offset 10m
mixed[1m]
size_bytes[1m]
rate(requests_total[2m])[5m:1m]
temperature_celsius[2m:30s]
ramp[1m] @ {at}
1
"""


FAILING = """
memory_bytes / ignoring (job) memory_bytes
memory_bytes * on (job) memory_bytes
requests_total / on (job, instance) requests_total
memory_bytes * on (job) group_left () build_info
label_join(requests_total, "instance", "/", "method", "code")
label_replace(quota, "job", "same", "job", ".*")
label_replace(quota, "a", "x", "job", "[")
rate({__name__=~"requests_total|holes_total"}[5m]) + rate(requests_total)
quantile(0.5)
sum(requests_total[5m])
round(-2.5)
quota + "text"
1 and quota
absent_over_time(quota)
time(1)
max_over_time(time()[5m:1m])
quota > bool quota > bool
quota bool quota
holt(quota)
quota[5m][5m]
{}
{job=~".*"}
quota{job="a"
quota{job=a}
sum by (1) (quota)
quota[0s]
quota @ nothing
"""


def listed(text: str) -> list[str]:
    return [
        line.replace("{at}", str(BASE + 1000)).replace("{{", "{").replace("}}", "}")
        for line in text.split("\n")
        if line
    ]


EXPRESSIONS = [
    expression
    for table in (SELECTORS, RATES, OVER_TIME, SUBQUERIES, AGGREGATIONS, OPERATORS, FUNCTIONS, NATIVE)
    for expression in listed(table)
]
"""Asked over a range."""
INSTANTS = listed(INSTANT_ONLY)
"""Asked at an instant."""
ORDERED = ("sort(", "sort_desc(", "topk(", "bottomk(", "topk by", "bottomk without")
"""What determines the order of an instant query's series."""
FAILURES = listed(FAILING)

WARNINGS = {
    "sort(memory_bytes)": "sort is ineffective for range queries since results are always ordered by labels",
    "sort_desc(memory_bytes)": "sort is ineffective for range queries since results are always ordered by labels",
}
"""What 3 warns of where 2.42 says nothing; over a range."""
COUNTED_OTHERWISE = re.compile(r'size_bytes|{job=~".[+]"}|:7s|:37s')
"""Of which 2.42 counts other samples: a native histogram is one to it, and a window may have a subquery's step on its left edge."""
OTHER_WORDS = listed(
    """
topk(scalar(odd{kind="nan"}), quota)
quota[5m] offset
"""
)
"""What 2.42 and 3 refuse in different words."""

RENAMED = {
    "holt_winters(temperature_celsius[10m], 0.3, 0.1)": "double_exponential_smoothing(temperature_celsius[10m], 0.3, 0.1)",
    "holt_winters(session[5m], 0.9, 0.8)": "double_exponential_smoothing(session[5m], 0.9, 0.8)",
}
"""Prometheus 2's name for a function: Prometheus 3's."""

DIFFERENT = {
    "sum_over_time(ramp[105s:15s] offset 7s)": "a window does not hold its left edge any more",
    "count_over_time(flat[1m:20s] offset 7s)": "a window does not hold its left edge any more",
    "rate(begun_total[2m])": "a rate is extrapolated to zero by half an interval at most since 2.51",
    "increase(begun_total[10m])": "a rate is extrapolated to zero by half an interval at most since 2.51",
    "temperature_celsius atan2 2": "atan2 drops the name since 3",
    "last_over_time(size_bytes[5m])": "2.42 knows no histograms there",
    "avg(size_bytes)": "2.42 knows no histograms there",
    "histogram_quantile(0.5, size_bytes)": "within a native bucket values are spread exponentially since 3",
    "histogram_fraction(1, 3, size_bytes)": "within a native bucket values are spread exponentially since 3",
    "stddev by (kind) (odd)": "of one value that is NaN or infinite the deviation is NaN since 3",
    "predict_linear(sparse[10m] @ 1770002345, 60)": "2.42 leaves off after the range",
    "memory_bytes > on (job) (quota * 1e30)": "what a comparison filters out counts as a match since 3",
    "session or changes(session[1m])": "names go last here, so both are one series",
    "histogram_quantile(0.5, memory_bytes)": "3 warns of series without le",
    "histogram_fraction(-1, 1, rate(latency_seconds_count[5m]))": "3 knows classic histograms, and warns of series without le",
    'spelled{text=~"new.line"}': "the dot of a regular expression matches a line's end since 3",
    'label_replace(quota, "a b", "x", "job", ".*")': "any text is a label's name since 3",
    'label_join(quota, "a b", "-", "job")': "any text is a label's name since 3",
    'count_values("a b", quota)': "any text is a label's name since 3",
}
"""Expression, asked over a range: why 2.42 answers something else than 3. A test sees to it that it does."""

FUNCTIONS_OF_2 = """
abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos cosh
count_over_time days_in_month day_of_month day_of_week day_of_year deg delta deriv exp floor histogram_count histogram_sum
histogram_fraction histogram_quantile holt_winters hour idelta increase irate label_replace label_join last_over_time ln log10
log2 max_over_time min_over_time minute month pi predict_linear present_over_time quantile_over_time rad rate resets round
scalar sgn sin sinh sort sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector year
"""
AGGREGATIONS_OF_2 = "sum avg min max count group stddev stdvar topk bottomk quantile count_values"
"""Source: promql/parser/functions.go and lex.go of v2.42.0."""
