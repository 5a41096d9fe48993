"""Training inside actors: one thin trainer a method over transformers' Trainer and TRL; losses/ holds the
mathematics."""
