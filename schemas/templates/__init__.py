"""Templates as SES reads them: which variables one needs, and its Handlebars, filled in as SES would."""
