"""Looking after the service: what is wrong, who runs, what waits; alerts and a dashboard."""
