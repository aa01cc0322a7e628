"""Which laws explain the bench and the load runs, how sure are we, and what would happen elsewhere?"""
