"""What the simulated providers accept: made-up values that open nothing else."""

ACCOUNT_SID = "ACde300000000000000000000000000000"
AUTH_TOKEN = "demo-auth-token"  # noqa: S105  made up, and said so in its value
ELEVENLABS_API_KEY = "demo-elevenlabs-key"
