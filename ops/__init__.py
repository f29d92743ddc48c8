"""What operators run: servers, migrations, accounts, backups, and `make run` itself."""
