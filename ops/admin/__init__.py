"""What whoever runs the service asks for: users, migrations, repairs."""
