//! Microsoft Graph over HTTPS: tokens, requests, batches, and what its faults mean in words. A driver: it decides nothing.
