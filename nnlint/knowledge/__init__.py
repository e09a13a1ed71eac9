"""What torch and the libraries around it mean, as data. Tables only: nothing here runs."""
