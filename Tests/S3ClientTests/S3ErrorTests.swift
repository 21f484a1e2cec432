import HTTPTransport
import S3Client
import TestSupport
import Testing

@Suite struct S3ErrorTriageTests {
  @Test(arguments: [500, 502, 503, 504, 429, 408, 302, 303, 511])
  func `these statuses are worth another try`(status: Int) {
    #expect(S3Error(answer: answer(status: status), operation: "GetObject").isRetryable)
  }

  @Test(arguments: [301, 304, 400, 401, 403, 404, 405, 409, 411, 412, 416, 501, 505])
  func `these are not`(status: Int) {
    #expect(!S3Error(answer: answer(status: status), operation: "GetObject").isRetryable)
  }

  @Test(arguments: [
    (400, "RequestTimeout", true), (400, "RequestTimeoutException", true),
    (400, "PriorRequestNotComplete", true),
    (503, "SlowDown", true), (400, "ThrottlingException", true), (409, "ConditionalRequestConflict", true),
    (400, "BadDigest", true), (400, "XAmzContentSHA256Mismatch", true), (400, "IncompleteBody", true),
    (200, "InternalError", true), (400, "InvalidDigest", false), (403, "AccessDenied", false),
    (403, "SignatureDoesNotMatch", false), (404, "NoSuchUpload", false), (400, "EntityTooLarge", false),
    (412, "PreconditionFailed", false), (400, "ExpiredToken", false), (409, "BucketNotEmpty", false),
  ])
  func `codes decide beside the status`(status: Int, code: String, expected: Bool) {
    let body = "<Error><Code>\(code)</Code></Error>"
    let error = S3Error(answer: answer(body, status: status), operation: "PutObject")
    #expect(error.code == code)
    #expect(error.isRetryable == expected)
  }

  @Test func `a completion in conflict is not repeated: S3 wants a new upload`() {
    let body = "<Error><Code>ConditionalRequestConflict</Code></Error>"
    #expect(!S3Error(answer: answer(body, status: 409), operation: "CompleteMultipartUpload").isRetryable)
  }

  @Test(arguments: [
    (TransportError.Kind.connect, true), (.staleConnection, true), (.interrupted, true), (.timeout, true),
    (.truncated, true), (.garbled, true), (.tls, false), (.invalid, false), (.closed, false),
  ])
  func `of the network all but TLS, faults of ours and a closed client are worth another try`(
    kind: TransportError.Kind, expected: Bool
  ) async {
    let client = ScriptedClient([.failure(kind)])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.isRetryable == expected)
    #expect(error?.network == kind)
  }

  @Test(arguments: [
    (
      400, "<Error><Code>InvalidArgument</Code><ArgumentName>x-amz-checksum-crc32</ArgumentName></Error>",
      true
    ),
    (501, "<Error><Code>NotImplemented</Code><Header>x-amz-checksum-algorithm</Header></Error>", true),
    (400, "<Error><Code>InvalidRequest</Code><Message>Checksum type is not known</Message></Error>", true),
    (400, "<Error><Code>InvalidArgument</Code><ArgumentName>x-amz-acl</ArgumentName></Error>", false),
    (400, "<Error><Code>BadDigest</Code><ArgumentName>x-amz-checksum-crc32</ArgumentName></Error>", false),
    (403, "<Error><Code>AccessDenied</Code><ArgumentName>x-amz-checksum-crc32</ArgumentName></Error>", false),
  ])
  func `a refused checksum is known wherever the answer names the field`(
    status: Int, body: String, expected: Bool
  ) {
    let error = S3Error(answer: answer(body, status: status), operation: "PutObject")
    #expect(S3ErrorTriage.refusesChecksum(error) == expected)
    if let argument = error.argument { #expect(error.description.contains("[\(argument)]")) }
  }

  @Test(arguments: [
    (405, "MethodNotAllowed", true), (501, "NotImplemented", true), (400, "InvalidRequest", true),
    (400, "MalformedXML", true), (400, "RequestTimeout", false), (400, "ExpiredToken", false),
    (400, "AuthorizationHeaderMalformed", false), (403, "AccessDenied", false), (404, "NoSuchBucket", false),
    (503, "SlowDown", false),
  ])
  func `a server that does not take an operation is told from one that refuses the caller`(
    status: Int, code: String, expected: Bool
  ) {
    let body = "<Error><Code>\(code)</Code></Error>"
    let error = S3Error(answer: answer(body, status: status), operation: "DeleteObjects")
    #expect(S3ErrorTriage.refusesOperation(error) == expected)
  }

  @Test func `throttling is told from other trouble`() {
    func isThrottling(_ status: Int, _ body: String = "") -> Bool {
      S3ErrorTriage.isThrottling(S3Error(answer: answer(body, status: status), operation: "PutObject"))
    }
    #expect(isThrottling(503, "<Error><Code>SlowDown</Code></Error>"))
    #expect(isThrottling(429))
    #expect(!isThrottling(500))
    #expect(!isThrottling(503, "<Error><Code>ServiceUnavailable</Code></Error>"))
  }
}

@Suite struct S3ErrorTests {
  @Test(arguments: ["", "<html><body><h1>Not Found</h1></body></html>", "<html><br>unclosed", "not found"])
  func `a body that is not S3's leaves the status to speak`(body: String) {
    let error = S3Error(answer: answer(body, status: 404, key: "k"), operation: "GetObject")
    #expect(error.code == "NotFound")
    #expect(error.isNotFound)
  }

  @Test func `an error is read whole`() {
    let error = S3Error(
      answer: answer(
        "<?xml version=\"1.0\"?><Error><Message>slow &amp; down</Message><Code>SlowDown</Code></Error>",
        status: 503,
        headers: ["X-Amz-Request-Id": "R1", "Retry-After": "7"], key: "a/b"),
      operation: "PutObject")
    #expect(error.message == "slow & down")
    #expect(error.retryAfterSeconds == 7)
    #expect(error.description == "PutObject s3://b/a/b: SlowDown: slow & down (HTTP 503, request R1)")
  }

  @Test(arguments: [
    ("HeadObject", "k", "s3:GetObject on arn:aws:s3:::b/k"),
    ("UploadPart", "k", "s3:PutObject on arn:aws:s3:::b/k"),
    ("DeleteObjects", "k", "s3:DeleteObject on arn:aws:s3:::b/k"),
    ("ListParts", "k", "s3:ListMultipartUploadParts on arn:aws:s3:::b/k"),
    ("ListObjectsV2", nil, "s3:ListBucket on arn:aws:s3:::b"),
    ("ListMultipartUploads", nil, "s3:ListBucketMultipartUploads on arn:aws:s3:::b"),
  ])
  func `a refusal names the action of the policy that is missing`(
    _ operation: String, _ key: String?, _ need: String
  ) {
    let error = S3Error(
      operation: operation, bucket: "b", key: key, status: 403, code: "AccessDenied", message: "Access Denied"
    )
    #expect(error.description.hasSuffix("; allow these credentials \(need)"))
  }

  @Test func `a refusal without a reason names both of what it may be`() {
    let error = S3Error(
      operation: "HeadObject", bucket: "b", key: "k", status: 403, code: "Forbidden", message: "")
    let expected =
      "check the access key and its secret; if they are right, allow these credentials s3:GetObject on arn:aws:s3:::b/k"
    #expect(error.remedy == expected)
  }

  @Test func `every operation has its permission`() {
    let operations: [any S3Operation.Type] = [
      AbortMultipartUpload.self, CompleteMultipartUpload.self, CopyObject.self, CreateMultipartUpload.self,
      DeleteObject.self, DeleteObjects.self, GetObject.self, HeadBucket.self, HeadObject.self,
      ListMultipartUploads.self, ListObjectsV2.self, ListParts.self, PutObject.self, UploadPart.self,
      UploadPartCopy.self,
    ]
    for operation in operations {
      #expect(RequiredPermission(of: operation.name, bucket: "b", key: "k") != nil, "\(operation.name)")
    }
  }

  @Test func `the remedy is said`() {
    let error = S3Error(
      answer: answer("<Error><Code>NoSuchBucket</Code></Error>", status: 404), operation: "HeadBucket")
    #expect(error.description.hasSuffix("create the bucket, or correct its name or the endpoint"))
  }

  @Test(
    .promise("CRED-7"),
    arguments: [
      (CertificateFault.expired, "new certificate"), (.notYetValid, "clock"), (.wrongHost, "host name"),
      (.unknownAuthority, "AWS_CA_BUNDLE"), (.revoked, "new certificate"), (.unusableBundle, "AWS_CA_BUNDLE"),
    ])
  func `each fault of a certificate has a code and a cure of its own`(fault: CertificateFault, cure: String)
    async
  {
    let client = ScriptedClient([.badCertificate(fault)])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.code == fault.rawValue)
    #expect(error?.network == .tls)
    #expect(error?.isRetryable == false)
    #expect(error?.remedy?.contains(cure) == true)
    let isOfBundle = [.unknownAuthority, .unusableBundle].contains(fault)
    #expect(error?.remedy?.contains("AWS_CA_BUNDLE") == isOfBundle)
  }

  @Test func `a handshake that fails for another reason says nothing of certificates`() async {
    let client = ScriptedClient([.failure(.tls)])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.code == "TLS")
    #expect(error?.remedy?.contains("AWS_CA_BUNDLE") == false)
  }
}
