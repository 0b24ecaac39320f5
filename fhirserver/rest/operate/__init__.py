"""Running the server: health, metrics, logs. None of them ever holds patient data.

Public: `health`, `metrics`, `log`.
"""
