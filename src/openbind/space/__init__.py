"""Space: modalities and towers that share one embedding."""
