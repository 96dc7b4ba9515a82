"""A day of load against the autoscaler of deploy/kubernetes, simulated: see deploy/kubernetes/AUTOSCALING.md."""
