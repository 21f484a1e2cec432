import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// What may stand together in one mirror.
@Suite struct RegistrationTests {
  private static func registration(
    _ name: String, _ spec: MirrorSpec, at local: String, identity: String = "aws/b"
  ) throws -> Registration {
    let local = FilePath(local)
    switch try RemoteReference(parsing: spec.remote) {
    case .local: return Registration(name: name, spec: spec, resolution: .passThrough(local))
    case .s3(let location):
      let bucket = OpenBucket(service: FakeObjectStore(), retrying: { $0 }, identity: identity)
      let place = ResolvedSpec(
        location: location, bucket: bucket, local: local, named: local, filter: .everything,
        isNamedAsDirectory: false, cacheDirectory: "/cache")
      return Registration(name: name, spec: spec, resolution: .s3(place))
    }
  }

  private static func message(adding new: Registration, to known: [Registration]) throws -> String? {
    var table = RegistrationTable()
    for registration in known { _ = try table.add(registration) }
    do throws(MirrorError) {
      _ = try table.add(new)
      return nil
    } catch {
      #expect(error.kind == .invalid)
      return error.message
    }
  }

  struct Pair: Sendable, CustomTestStringConvertible {
    var first: MirrorSpec
    var second: MirrorSpec
    var locals = ("/x", "/y")
    var identities = ("aws/b", "aws/b")
    /// Part of the message; nil when they may stand together.
    var complaint: String?

    var testDescription: String { "\(first.direction) \(first.remote), \(second.direction) \(second.remote)" }
  }

  @Test(arguments: [
    Pair(first: .upload("s3://bbb/a"), second: .upload("s3://bbb/a/x"), complaint: "overlap"),
    Pair(first: .upload("s3://bbb/a/x"), second: .upload("s3://bbb/a"), complaint: "overlap"),
    Pair(first: .upload("s3://bbb/a"), second: .upload("s3://bbb/ab")),
    Pair(first: .upload("s3://bbb/a"), second: .download("s3://bbb/a/x"), complaint: "overlap"),
    Pair(first: .download("s3://bbb/a"), second: .upload("s3://bbb/"), complaint: "overlap"),
    Pair(first: .download("s3://bbb/a"), second: .download("s3://bbb/a/x")),
    Pair(first: .sync("s3://bbb/a"), second: .download("s3://bbb/a/x"), complaint: "overlap"),
    Pair(first: .upload("s3://one@bbb/a"), second: .upload("s3://two@bbb/a/x"), complaint: "overlap"),
    Pair(
      first: .upload("s3://bbb/a"), second: .upload("s3://bbb/a/x"), identities: ("aws/bbb", "minio/bbb")),
    Pair(
      first: .upload("s3://bbb/a"), second: .upload("s3://bbb/a", delete: false), complaint: "same remote"),
    Pair(first: .upload("s3://bbb/a"), second: .download("s3://bbb/a"), complaint: "same remote"),
    Pair(first: .download("s3://bbb/a"), second: .download("s3://bbb/a"), complaint: "same remote"),
    Pair(
      first: .upload("s3://bbb/a"), second: .upload("s3://bbb/c"), locals: ("/x", "/x/y"),
      complaint: "share local files"),
    Pair(
      first: .upload("s3://bbb/a"), second: .download("s3://bbb/c"), locals: ("/x/y", "/x"),
      complaint: "share local files"),
    Pair(first: .upload("s3://bbb/a"), second: .upload("s3://bbb/c"), locals: ("/x", "/xy")),
    Pair(first: .download("/data"), second: .upload("s3://bbb/a"), locals: ("/x", "/x")),
  ])
  func `specs that overlap are refused, and both are named`(_ pair: Pair) throws {
    let first = try Self.registration("one", pair.first, at: pair.locals.0, identity: pair.identities.0)
    let second = try Self.registration("two", pair.second, at: pair.locals.1, identity: pair.identities.1)
    let message = try Self.message(adding: second, to: [first])
    guard let complaint = pair.complaint else {
      #expect(message == nil)
      return
    }
    #expect(message?.contains(complaint) == true)
    #expect(message?.contains("\"one\"") == true && message?.contains("\"two\"") == true)
  }

  @Test(arguments: ["download", "upload", "sync", "ls", "flush", "status"])
  func `the session's own method names are reserved`(_ name: String) throws {
    let new = try Self.registration(name, .upload("s3://bbb/a"), at: "/x")
    #expect(try Self.message(adding: new, to: [])?.contains("the session's own") == true)
    var table = RegistrationTable()
    #expect(try table.add(new, naming: .labels) == .new)
  }

  @Test func `an empty name is refused`() throws {
    let new = try Self.registration("", .upload("s3://bbb/a"), at: "/x")
    #expect(try Self.message(adding: new, to: [])?.contains("a name is empty") == true)
  }

  @Test func `a name that is used twice is an error, in any spelling`() throws {
    let first = try Self.registration("caf\u{e9}", .upload("s3://bbb/a"), at: "/x")
    let second = try Self.registration("cafe\u{301}", .upload("s3://bbb/c"), at: "/y")
    #expect(try Self.message(adding: second, to: [first])?.contains("given twice") == true)
  }

  @Test func `the same registration twice is one, and the other name leads to it`() throws {
    var table = RegistrationTable()
    let first = try Self.registration("one", .upload("s3://bbb/a"), at: "/x")
    let second = try Self.registration("two", .upload("s3://bbb/a"), at: "/x")
    #expect(try table.add(first) == .new)
    #expect(try table.add(first) == .known(first))
    #expect(try table.add(second) == .known(first))
    #expect(table.owner(of: "two") == "one")
    #expect(table.all == [first])
    let third = try Self.registration("two", .upload("s3://bbb/c"), at: "/y")
    #expect(throws: MirrorError.self) { _ = try table.add(third) }
  }

  @Test func `a local path may be passed through twice`() throws {
    let data = try Self.registration("data", .download("/data"), at: "/data")
    #expect(try Self.message(adding: data, to: [data]) == nil)
  }

  @Test func `the specs of a scope are registered together or not at all`() throws {
    var table = RegistrationTable()
    let good = try Self.registration("one", .upload("s3://bbb/a"), at: "/x")
    let bad = try Self.registration("two", .upload("s3://bbb/a/x"), at: "/y")
    #expect(throws: MirrorError.self) { _ = try table.add(all: [good, bad]) }
    #expect(table.all.isEmpty)
    #expect(throws: MirrorError.self) { _ = try table.add(all: [good, good]) }
    #expect(try table.add(all: [good]) == [good])
  }

  @Test func `a spec that was removed can be registered again`() throws {
    var table = RegistrationTable()
    let first = try Self.registration("one", .upload("s3://bbb/a"), at: "/x")
    _ = try table.add(first)
    table.remove("one")
    #expect(try table.add(first) == .new)
  }
}
