-- The rows are in points_*_by_metric now.
{{undistributed points_number}}
;
DROP TABLE IF EXISTS {{table points_number}}{{on_cluster}} SYNC
;
{{undistributed points_histogram}}
;
DROP TABLE IF EXISTS {{table points_histogram}}{{on_cluster}} SYNC
;
{{undistributed points_exponential_histogram}}
;
DROP TABLE IF EXISTS {{table points_exponential_histogram}}{{on_cluster}} SYNC
;
{{undistributed points_summary}}
;
DROP TABLE IF EXISTS {{table points_summary}}{{on_cluster}} SYNC
;
{{undistributed exemplars}}
;
DROP TABLE IF EXISTS {{table exemplars}}{{on_cluster}} SYNC
;
