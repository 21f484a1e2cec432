import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// Where remotes lie on this machine.
@Suite struct LocalPlacementTests {
  private let placement = LocalPlacement(
    cacheRoot: "~/.cache/s3/", homeDirectory: "/nowhere/home", workingDirectory: "/nowhere/work")

  @Test(arguments: [
    ("s3://bucket/data", "/nowhere/home/.cache/s3/bucket/data"),
    ("s3://bucket/data/", "/nowhere/home/.cache/s3/bucket/data"),
    ("s3://bucket/a/b c", "/nowhere/home/.cache/s3/bucket/a/b c"),
    ("s3://bucket", "/nowhere/home/.cache/s3/bucket"),
    ("s3://lab@bucket/data", "/nowhere/home/.cache/s3/lab@bucket/data"),
  ])
  func `without a local path the files are placed below the cache root`(_ url: String, _ expected: String)
    throws
  {
    let location = try S3Location(parsing: url)
    #expect(try placement.path(for: location, local: nil) == FilePath(expected))
  }

  @Test(arguments: ["s3://bucket/../../etc", "s3://bucket/a//b", "s3://bucket//a", "s3://bucket/a/./b"])
  func `a key that cannot be a path needs a local path`(_ url: String) throws {
    let location = try S3Location(parsing: url)
    #expect(throws: MirrorError.self) { _ = try placement.path(for: location, local: nil) }
    #expect(try placement.path(for: location, local: "here") == FilePath("/nowhere/work/here"))
  }

  @Test(arguments: [
    ("~", "/nowhere/home"), ("~/x", "/nowhere/home/x"), ("~x", "/nowhere/work/~x"),
    ("x/../y/.", "/nowhere/work/y"), ("/a/b/../c", "/a/c"), (".", "/nowhere/work"),
  ])
  func `paths become absolute`(_ text: String, _ expected: String) {
    #expect(placement.absolute(text) == FilePath(expected))
  }

  @Test func `the named path keeps its links`() throws {
    let directory = try TemporaryDirectory()
    try directory.makeDirectory("real")
    try directory.link("alias", to: "real")
    let location = try S3Location(parsing: "s3://bucket/data")
    let named = try placement.named(for: location, local: directory["alias/../alias/new"])
    #expect(named == FilePath(directory["alias/new"]))
    #expect(placement.named("~/x") == "/nowhere/home/x")
    #expect(try placement.named(for: location, local: nil) == "/nowhere/home/.cache/s3/bucket/data")
  }

  @Test func `two names of one place are one path`() throws {
    let directory = try TemporaryDirectory()
    try directory.makeDirectory("real")
    try directory.link("alias", to: "real")
    #expect(placement.absolute(directory["alias/new"]) == placement.absolute(directory["real/new"]))
  }
}
