"""Every metric, on a registry of this process; the only importer of prometheus libraries.

With several workers (PROMETHEUS_MULTIPROC_DIR) a scrape merges what all of them wrote into files: counters and
histograms are added up, dead workers' included; a gauge shows the newest or the highest value of those alive. So
nothing is computed at scrape time that another worker could not have written.
"""
