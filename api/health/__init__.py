"""Is this process alive, and may it take samples?"""
