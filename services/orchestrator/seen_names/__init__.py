"""Which names the data of events and the traits of customers have had lately, to find misspelt names in campaigns."""
