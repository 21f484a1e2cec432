import SigV4
import Testing

@Suite struct RequestSignerTests {
  private let credentials = AWSCredentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "verySecretIndeed")
  private let noon = SigningTime(secondsSince1970: 1_700_000_000)

  @Test func `signing a request again signs the same fields`() {
    let signer = RequestSigner(region: "us-east-1")
    var request = SigningInput(method: "PUT", host: "h", path: "/b/k", headers: [("x-amz-meta-a", "1")])
    let first = signer.headers(for: request, credentials: credentials, at: noon)
    request.headers += first
    let second = signer.headers(for: request, credentials: credentials, at: noon)
    #expect(first.last?.value == second.last?.value)
  }

  @Test func `fields that a proxy may change are not signed`() {
    let request = SigningInput(
      method: "PUT", host: "h", path: "/k",
      headers: [("User-Agent", "s3mirror"), ("Expect", "100-continue"), ("If-Match", "\"e\"")])
    let signature = RequestSigner(region: "r").signature(for: request, credentials: credentials, at: noon)
    #expect(signature.canonicalRequest.signedHeaders == "host;if-match;x-amz-content-sha256;x-amz-date")
  }

  @Test func `other credentials, days and regions have other keys`() {
    let request = SigningInput(method: "GET", host: "h", path: "/")
    let signer = RequestSigner(region: "us-east-1")
    var other = credentials
    other.secretAccessKey += "!"
    // More than the cache holds, twice over, so that entries leave and come back.
    let days = (0..<6).map { SigningTime(secondsSince1970: 1_700_000_000 + $0 * 86_400) }
    for time in days + days {
      let fresh = RequestSigner(region: "us-east-1")
      let signed = signer.signature(for: request, credentials: credentials, at: time).text
      let signedByOther = signer.signature(for: request, credentials: other, at: time).text
      #expect(signed == fresh.signature(for: request, credentials: credentials, at: time).text)
      #expect(signedByOther == fresh.signature(for: request, credentials: other, at: time).text)
      #expect(signed != signedByOther)
    }
    let elsewhere = RequestSigner(region: "eu-central-1")
    #expect(
      signer.signature(for: request, credentials: credentials, at: noon).text
        != elsewhere.signature(for: request, credentials: credentials, at: noon).text)
  }

  @Test func `a session token is sent and signed`() {
    var temporary = credentials
    temporary.sessionToken = "token"
    let request = SigningInput(method: "GET", host: "h", path: "/")
    let signer = RequestSigner(region: "r")
    let headers = signer.headers(for: request, credentials: temporary, at: noon)
    #expect(headers.contains { $0.name == "x-amz-security-token" && $0.value == "token" })
    let signature = signer.signature(for: request, credentials: temporary, at: noon)
    #expect(signature.canonicalRequest.signedHeaders.hasSuffix(";x-amz-security-token"))
  }

  @Test func `a service other than S3 gets the general dialect`() {
    #expect(RequestSigner(region: "r", service: "sts").dialect == .general)
    #expect(RequestSigner(region: "r").dialect == .s3)
  }

  @Test func `neither a dump nor a description shows a secret`() {
    let signer = RequestSigner(region: "r")
    let request = SigningInput(method: "PUT", host: "h", path: "/", payload: .streaming)
    let seed = signer.signature(for: request, credentials: credentials, at: noon)
    let chunks = signer.chunkSigner(seed: seed, credentials: credentials, at: noon)
    var text = ""
    dump(signer, to: &text)
    dump(credentials, to: &text)
    dump(chunks, to: &text)
    text += "\(signer) \(credentials) \(String(reflecting: credentials)) \(chunks)"
    #expect(!text.contains("verySecretIndeed"))
    // A dumped key would be a list of 32 bytes.
    #expect(!text.contains("32 elements"))
  }
}
