import Foundation
import S3Mirror
import Testing

@testable import S3MirrorCLI

/// Every option of the library has its flag.
@Suite struct OptionFlagTests {
  /// What a command line cannot say: an object of the caller's, or the process's own environment.
  private static let withoutFlag: Set<String> = ["logger", "observer", "environment"]

  private static let flags: [String: String] = [
    "cacheRoot": "--cache-root", "showProgress": "--no-progress", "maxWorkers": "--max-workers",
    "profile": "--profile", "endpointURL": "--endpoint-url", "region": "--region",
    "anonymous": "--no-sign-request", "payloadSigning": "--payload-signing",
    "allowInsecure": "--allow-insecure", "onError": "--on-error",
    "exitTimeout": "--exit-timeout", "settle": "--settle", "openFileGrace": "--open-file-grace",
    "appendNames": "--append-names", "inProgressNames": "--in-progress-names",
    "temporaryNames": "--temporary-names",
    "auditInterval": "--audit-interval", "compare": "--compare",
    "suspectWithin": "--suspect-within", "maxDelete": "--max-delete",
    "receipts": "--receipts", "keepLast": "--keep-last", "keepEvery": "--keep-every", "renames": "--renames",
    "commitLast": "--commit-last", "symlinks": "--symlinks",
    "emptyDirectories": "--empty-directories", "multipartThreshold": "--multipart-threshold",
    "partBytes": "--part-size", "delta": "--delta", "maxUploadBytesPerSecond": "--max-upload-rate",
    "maxDownloadBytesPerSecond": "--max-download-rate", "lowPriority": "--low-priority",
    "staleUploadAge": "--stale-upload-age", "maxAttempts": "--max-attempts", "logDirectory": "--log-dir",
    "logKeepDays": "--log-keep", "name": "--name", "deleteCondition": "--delete-if-match",
    "controlSocket": "--no-control-socket", "group": "--group",
    "requesterPays": "--requester-pays", "expectedOwner": "--expected-bucket-owner",
    "storageClass": "--storage-class", "encryption": "--sse", "acl": "--acl", "tags": "--tag",
    "metadata": "--metadata", "contentType": "--no-guess-mime-type", "interval": "--interval",
    "delete": "--delete", "exclude": "--exclude", "include": "--include",
  ]

  /// Looked into themselves, or positions on the command line.
  private static let nested: Set<String> = ["access", "properties", "direction", "remote", "local"]

  private func fields(of value: Any) -> [String] {
    Mirror(reflecting: value).children.compactMap(\.label)
  }

  @Test func `watch has a flag for everything that an upload and a mirror can be told`() async throws {
    let help = try await Program().run("watch", "--help").output
    let all =
      fields(of: Options()) + fields(of: BucketAccess()) + fields(of: ObjectProperties())
      + fields(of: MirrorSpec.upload("s3://b/k"))
    for field in all where !Self.withoutFlag.contains(field) && !Self.nested.contains(field) {
      let flag = try #require(Self.flags[field], "\(field) has no flag")
      #expect(help.contains("\(flag)"), "\(flag), for \(field), is not in the help")
    }
  }

  @Test func `properties are read as they are written`() throws {
    let command = try #require(
      S3MirrorCommand.parseAsRoot([
        "upload", "tree", "s3://b/k", "--storage-class", "GLACIER_IR", "--sse-kms-key-id", "alias/k", "--acl",
        "private", "--tag", "a=b=c", "--tag", "d=", "--metadata", "e=f g", "--no-guess-mime-type",
        "--requester-pays", "--expected-bucket-owner", "123456789012",
      ]) as? UploadCommand)
    let properties = try command.properties.properties()
    #expect(
      properties
        == ObjectProperties(
          storageClass: "GLACIER_IR", encryption: .kms(keyID: "alias/k"), acl: "private",
          tags: ["a": "b=c", "d": ""], metadata: ["e": "f g"], contentType: .none))
    let options = command.oneShot.mirror.options(for: "upload", telling: Narrator(.quiet))
    #expect(options.access == BucketAccess(requesterPays: true, expectedOwner: "123456789012"))
  }

  @Test func `the window of suspicion is the library's where the command says nothing`() throws {
    func options(_ arguments: String...) throws -> Options {
      let command = try #require(
        S3MirrorCommand.parseAsRoot(["upload", "tree", "s3://b/k"] + arguments) as? UploadCommand)
      return command.oneShot.mirror.options(for: "upload", telling: Narrator(.quiet))
    }
    #expect(try options().suspectWithin == Options().suspectWithin)
    #expect(try options("--suspect-within", "0.5").suspectWithin == .milliseconds(500))
    #expect(throws: (any Error).self) { try options("--suspect-within", "-1") }
  }

  @Test(arguments: [
    (["--tag", "a=1", "--tag", "a=2"], "twice"), (["--sse", "AES256", "--sse-kms-key-id", "k"], "AES256"),
    (["--tag", "=x"], "--tag"), (["--sse", "rot13"], "rot13"), (["--on-error", "panic"], "panic"),
  ])
  func `contradictions are usage errors`(_ options: [String], _ part: String) throws {
    let error = #expect(throws: (any Error).self) {
      try S3MirrorCommand.parseAsRoot(["upload", "tree", "s3://b/k"] + options)
    }
    let fault = try #require(error)
    #expect(S3MirrorCommand.message(for: fault).contains(part))
  }
}
