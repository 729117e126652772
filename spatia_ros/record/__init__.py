"""What a run leaves behind: folders, videos, contact sheets, reports."""
