"""What workers do: a module for each kind of event, and the sweeper that asks for what is due."""
