import Foundation
import HTTPTransport
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// Object properties on request.
@Suite struct PropertiesTests {
  private static let all = ObjectProperties(
    storageClass: "STANDARD_IA", encryption: .kms(keyID: "alias/mine"), acl: "bucket-owner-full-control",
    tags: ["run": "7 & 8", "who": "é"], metadata: ["git-commit": "abc"])

  private static let names: Set<String> = [
    "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-acl", "x-amz-tagging", "x-amz-meta-git-commit",
  ]

  @Test(.promise("PROP-2"))
  func `properties are sent with requests that make an object, and with no others`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/small", "x")
      try stage.directory.write("out/large.json", String(repeating: "x", count: 6 << 20))
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, properties: Self.all)],
        {
          $0.multipartThreshold = 5 << 20; $0.partBytes = 5 << 20
        }
      ) { mirror async throws in
        try stage.directory.rename("out/small", to: "out/renamed.txt")
        try await mirror.flush()
      }
      let making: Set<String> = ["PutObject", "CreateMultipartUpload", "CopyObject"]
      let requests = await stage.fake.requests
      #expect(making.isSubset(of: requests.map(\.operation)))
      #expect(requests.contains { $0.operation == "UploadPart" })
      for request in requests {
        let sent = Self.names.filter { request.headers[$0] != nil }
        #expect(sent == (making.contains(request.operation) ? Self.names : []), "\(request.operation)")
      }
      for key in ["renamed.txt", "large.json"] {
        let object = try #require(await stage.fake.object("\(stage.prefix)out/\(key)"))
        #expect(object.headers["x-amz-storage-class"] == "STANDARD_IA")
        #expect(object.headers["x-amz-server-side-encryption"] == "aws:kms")
        #expect(object.headers["x-amz-tagging"] == "run=7%20%26%208&who=%C3%A9")
        #expect(object.metadata["git-commit"] == "abc")
        #expect(object.metadata["mtime"] != nil)
      }
    }
  }

  @Test(.promise("PROP-2"))
  func `the copy of a renamed file has the properties of an upload under the new name`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/model.tmp", "{}")
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, properties: Self.all)]
      ) { mirror async throws in
        try stage.directory.rename("out/model.tmp", to: "out/model.json")
        try await mirror.flush()
        #expect(await stage.fake.count(of: "CopyObject") == 1)
        let copied = try #require(await stage.fake.object("\(stage.prefix)out/model.json"))
        #expect(copied.contentType == "application/json")
        _ = try await stage.uploadOnce(
          .upload(stage.url("again"), local: stage.local("out"), properties: Self.all))
        let sent = try #require(await stage.fake.object("\(stage.prefix)again/model.json"))
        #expect(copied.metadata == sent.metadata)
        #expect(copied.contentType == sent.contentType)
      }
      let copy = try #require(await stage.fake.requests.first { $0.operation == "CopyObject" })
      #expect(copy.headers["x-amz-metadata-directive"] == "REPLACE")
      #expect(copy.headers["x-amz-tagging-directive"] == "REPLACE")
    }
  }

  @Test(.promise("PROP-1"))
  func `without options only the content type is sent`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a.json", "x")
      _ = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      var bare = ObjectProperties()
      bare.contentType = .none
      _ = try await stage.uploadOnce(
        .upload(stage.url("bare"), local: stage.local("out"), properties: bare))
      let puts = await stage.fake.requests.filter { $0.operation == "PutObject" }
      #expect(puts.map { $0.headers["Content-Type"] } == ["application/json", nil])
      for put in puts { #expect(Self.names.allSatisfy { put.headers[$0] == nil }) }
    }
  }

  @Test(
    .promise("PROP-3"),
    arguments: [
      (ObjectProperties(storageClass: "standard ia"), "STANDARD_IA"),
      (.init(acl: "mine"), "bucket-owner-full-control"),
      (.init(tags: Dictionary(uniqueKeysWithValues: (0..<11).map { ("\($0)", "") })), "11 tags"),
      (.init(tags: ["": "x"]), "empty"), (.init(metadata: ["mtime": "0"]), "mtime"),
      (.init(metadata: ["a b": "x"]), "a b"), (.init(metadata: ["a": "ü"]), "ASCII"),
      (.init(metadata: ["a": "x\r\nx-amz-acl: public-read"]), "ASCII"),
      (.init(metadata: ["a": String(repeating: "x", count: 2048)]), "2048"),
      (.init(encryption: .kms(keyID: "")), "KMS"),
    ])
  func `properties that S3 would refuse are reported before anything is sent`(
    _ properties: ObjectProperties, _ part: String
  ) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let error = await #expect(throws: MirrorError.self) {
        try await stage.uploadOnce(
          .upload(stage.url("out"), local: stage.local("out"), properties: properties))
      }
      #expect(error?.kind == .invalid)
      #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
      #expect(await stage.fake.calls.isEmpty)
    }
  }

  // MARK: Access

  @Test(.promise("PROP-4"))
  func `an equal object keeps its properties when other ones are set`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let plain = MirrorSpec.upload(stage.url("out"), local: stage.local("out"))
      #expect(try await stage.uploadOnce(plain)?.published == 1)
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), properties: Self.all)
      #expect(try await stage.uploadOnce(spec)?.published == 0)
      #expect(await stage.fake.object("\(stage.prefix)out/a")?.headers["x-amz-storage-class"] == nil)
      try stage.directory.write("out/a", "xy")
      #expect(try await stage.uploadOnce(spec)?.published == 1)
      #expect(
        await stage.fake.object("\(stage.prefix)out/a")?.headers["x-amz-storage-class"] == "STANDARD_IA")
    }
  }

  @Test(.promise("PROP-5"))
  func `access is two headers, which are sent with every request to the bucket`() {
    #expect(BucketAccess().headers.fields.isEmpty)
    let headers = BucketAccess(requesterPays: true, expectedOwner: "123456789012").headers
    #expect(headers["x-amz-request-payer"] == "requester")
    #expect(headers["x-amz-expected-bucket-owner"] == "123456789012")
  }

  @Test func `each spec has its own access, or else that of the options`() async throws {
    try await Stage.play { stage async throws in
      let asked = Mutex<[BucketAccess?]>([])
      let fake = stage.fake
      let own = BucketAccess(requesterPays: true)
      try await stage.put("data/a", "x")
      for access in [own, nil] {
        let scope = try MirrorScope(options: stage.options()) { _, _, _ in
          FakeBuckets(store: fake, noteAccess: { access in asked.withLock { $0.append(access) } })
        }
        try await scope.enter([
          (name: "data", spec: .download(stage.url("data"), local: stage.local("data"), access: access)),
          (name: "out", spec: .upload(stage.url("out"), local: stage.local("out"), access: access)),
        ])
        _ = await scope.exit(.returned)
        #expect(asked.withLock { !$0.isEmpty && $0.allSatisfy { $0 == access } })
        asked.withLock { $0 = [] }
      }
    }
  }

  @Test func `an expected owner that is no account ID is refused`() throws {
    var options = Options()
    options.access.expectedOwner = "1234"
    let error = #expect(throws: MirrorError.self) { try options.check() }
    #expect(error?.message.contains("12 digits") == true)
  }

  // MARK: On a server, as another client sees them

  @Test(
    .enabled(if: Stage.serverBucket != nil && ProcessInfo.processInfo.environment["S3MIRROR_PYTHON"] != nil))
  func `boto3 sees class, tags, type and metadata, after a rename too`() async throws {
    try await Stage.play(.server) { stage async throws in
      try stage.directory.write("out/small", "x")
      try stage.directory.write("out/large.json", String(repeating: "x", count: 6 << 20))
      let properties = ObjectProperties(
        storageClass: "STANDARD_IA", tags: ["run": "7 & 8"], metadata: ["git-commit": "abc"])
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, properties: properties)],
        {
          $0.multipartThreshold = 5 << 20; $0.partBytes = 5 << 20
        }
      ) { mirror async throws in
        try stage.directory.rename("out/small", to: "out/renamed.txt")
        try await mirror.flush()
      }
      let script = """
        import boto3, os, sys
        bucket, prefix = sys.argv[1:3]
        client = boto3.client("s3", endpoint_url=os.environ["S3MIRROR_TEST_ENDPOINT"])
        for name in ("large.json", "renamed.txt"):
            head = client.head_object(Bucket=bucket, Key=prefix + name)
            tags = client.get_object_tagging(Bucket=bucket, Key=prefix + name)["TagSet"]
            print(name, head.get("StorageClass"), head["ContentType"], head["Metadata"].get("git-commit"),
                  "mtime" in head["Metadata"], [(each["Key"], each["Value"]) for each in tags])
        """
      let python = try #require(ProcessInfo.processInfo.environment["S3MIRROR_PYTHON"])
      let seen = try await output(of: python, ["-c", script, stage.bucket, stage.prefix + "out/"])
      #expect(
        seen == """
          large.json STANDARD_IA application/json abc True [('run', '7 & 8')]
          renamed.txt STANDARD_IA text/plain abc True [('run', '7 & 8')]

          """)
    }
  }
}
