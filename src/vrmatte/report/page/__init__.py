"""The report's page: views of the report's facts, drawings, images, and the HTML around them."""
