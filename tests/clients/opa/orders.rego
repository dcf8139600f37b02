package orders

decision := {"allow": true, "tenant": "acme"} if {
	input.method == "GET"
	startswith(input.path, "/ask-open-policy-agent/")
	input.caller == "ann"
}

decision := {"allow": false, "tenant": "acme"} if input.caller == "bob"
