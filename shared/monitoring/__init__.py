"""What operators watch: figures for Prometheus, and what the servers hold."""
