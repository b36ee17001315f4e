"""What `runengine` is: it keeps the clusters, the runners and the site running, and ends them together."""
