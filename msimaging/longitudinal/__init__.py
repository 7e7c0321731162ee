"""longitudinal"""
