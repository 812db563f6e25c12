"""What tests share: data, servers, processes, models. A module is named after what it holds."""
