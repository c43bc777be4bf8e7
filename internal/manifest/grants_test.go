package manifest

import "testing"

// Grants of either form, and what Compose would ignore in them.
func TestParse_Grants(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"secrets: KEY", []string{"4 web | Compose does not accept services.web.secrets: must be a list | see secrets in the Compose file reference, or run docker compose config -q"}},
		{"secrets: {KEY: }", []string{"4 web | secrets: of a service must be a list | write - NAME for each secret"}},
		{"secrets: [KEY, KEY]", []string{"4 web | grants KEY at /run/secrets/KEY, which line 4 grants already | keep one of the two, or give one another target:"}},
		{"secrets: [{source: KEY, target: /run/secrets/KEY}, KEY]", []string{"4 web | grants KEY at /run/secrets/KEY, which line 4 grants already | keep one of the two, or give one another target:"}},
		{"secrets: [{target: a}]", []string{"4 web | a grant names no secret | write source: NAME"}},
		{"secrets: [{source: [a]}]", []string{"4 web | a grant names no secret | write source: NAME"}},
		{"secrets: [[a]]", []string{"4 web | a grant is neither a name nor a mapping | write - NAME"}},
		{"secrets: [~]", []string{"4 web | a grant is neither a name nor a mapping | write - NAME"}},
		{"secrets: ['${A}']", []string{"4 web | a grant names its secret by a variable | write the name: the file must show which service gets which secret"}},
		{"secrets: [{source: KEY, target: a/b}]", []string{"4 web | the target of KEY is not a file name in /run/secrets | write a plain file name, or remove target: (the default is /run/secrets/KEY)"}},
		{"secrets: [{source: KEY, target: '$T'}]", []string{"4 web | the target of KEY is not a file name in /run/secrets | write a plain file name, or remove target: (the default is /run/secrets/KEY)"}},
		{"secrets: [{source: KEY, target: }]", []string{"4 web | Compose does not accept services.web.secrets | see secrets in the Compose file reference, or run docker compose config -q"}},
		{"secrets: [{source: KEY, uid: '1'}]", []string{"4 web | uid of the grant of KEY does nothing: Compose ignores it for file secrets | remove it: each file is 0444, so any user in the container can read it"}},
		{"secrets: [{source: KEY, gid: '1', mode: 0400}]", []string{"4 web | gid of the grant of KEY does nothing: Compose ignores it for file secrets | remove it: each file is 0444, so any user in the container can read it", "4 web | mode of the grant of KEY does nothing: Compose ignores it for file secrets | remove it: each file is 0444, so any user in the container can read it"}},
		{"secrets: [KYE]", []string{"4 web | is granted KYE, which is not declared | did you mean KEY?"}},
		{"secrets: [key]", []string{"4 web | is granted key, which is not declared | did you mean KEY?"}},
		{"secrets: [SOMETHING]", []string{"4 web | is granted SOMETHING, which is not declared | declare it under the top-level secrets:, or remove the grant"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}
