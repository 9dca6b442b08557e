"""Lesions of inhibition pathways: specs, their application, dose-response designs."""
