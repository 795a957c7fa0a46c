"""What an operator asks for, whoever asks: which customers and days, what would be done, how it goes. No Dagster run needed."""
