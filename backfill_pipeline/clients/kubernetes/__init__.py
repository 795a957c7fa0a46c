"""Jobs on a Kubernetes cluster: made from a CronJob's template, followed, ended."""
