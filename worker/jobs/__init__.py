"""What workers do: fold a ride, sweep up what is due."""
