/* A token that expires in 2030, {"iss":"https://login.example","aud":"mail","exp":1900000000,"email":"a@b"}, the key set that proves it,
 * and one that does not. The private key was thrown away. */
#ifndef TESTS_UNIT_COMMON_ISSUER_TOKEN_H
#define TESTS_UNIT_COMMON_ISSUER_TOKEN_H

#define TOKEN "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOiJtYWlsIiwiZXhwI" \
	"joxOTAwMDAwMDAwLCJlbWFpbCI6ImFAYiJ9.RRmsD3TmEn87SuOMa2eupVUBad_RF8y4IDJ1VorgbafGS9l-QlIFjP-EvcVT6tub" \
	"YakkXI_1WvR6FxMHbZMaCA"
#define KEYS "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"QNgGQQvKbYIgi32Ae7JK43VjpJTlGJvVoT5zzz06C-k\"}]}"
#define OTHER_KEYS "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"other\",\"x\":\"Seihyvy66IBEXdBS4WFrezwvXIse1wgN-nth9pDVboU" \
	"\"}]}"

#endif
