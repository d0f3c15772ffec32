-- Their names for the tables by metric. On a cluster these keep the path in Keeper that they were made with.
{{undistributed points_number_by_metric}}
;
RENAME TABLE IF EXISTS {{table points_number_by_metric}} TO {{table points_number}}{{on_cluster}}
;
{{distributed points_number series_id}}
;
{{undistributed points_histogram_by_metric}}
;
RENAME TABLE IF EXISTS {{table points_histogram_by_metric}} TO {{table points_histogram}}{{on_cluster}}
;
{{distributed points_histogram series_id}}
;
{{undistributed points_exponential_histogram_by_metric}}
;
RENAME TABLE IF EXISTS {{table points_exponential_histogram_by_metric}} TO {{table points_exponential_histogram}}{{on_cluster}}
;
{{distributed points_exponential_histogram series_id}}
;
{{undistributed points_summary_by_metric}}
;
RENAME TABLE IF EXISTS {{table points_summary_by_metric}} TO {{table points_summary}}{{on_cluster}}
;
{{distributed points_summary series_id}}
;
{{undistributed exemplars_by_metric}}
;
RENAME TABLE IF EXISTS {{table exemplars_by_metric}} TO {{table exemplars}}{{on_cluster}}
;
{{distributed exemplars series_id}}
;
