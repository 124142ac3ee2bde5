"""Every metric, on a registry of this process. Only this package imports prometheus libraries.

With several workers (PROMETHEUS_MULTIPROC_DIR) a scrape merges the files of all of them. Counters and histograms are
added up, those of dead workers too; a gauge shows the newest or the highest value of the living workers. So every
worker writes its gauges itself, and none is computed at the scrape.
"""
