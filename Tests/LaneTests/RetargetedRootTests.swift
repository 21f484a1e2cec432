import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// A root whose path leads to another directory from some moment on, though no event of the first one says so.
@Suite struct RetargetedRootTests {
  enum Way: CaseIterable {
    /// The root is a link, which is made anew.
    case link
    /// A directory above the root is a link, which is made anew.
    case linkAbove
    /// A directory above the root is renamed, and another one made in its place.
    case directoryAbove

    var root: String { self == .link ? "tree" : "place/tree" }
  }

  private func makeDirectory(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  private func relink(_ path: String, to target: String) throws {
    try #require(symlink(target, path + "-new") == 0)
    try #require(rename(path + "-new", path) == 0)
  }

  private func begin(_ way: Way, in directory: String) throws {
    switch way {
    case .link:
      try makeDirectory(directory + "/first")
      try #require(rmdir(directory + "/tree") == 0)
      try relink(directory + "/tree", to: "first")
    case .linkAbove:
      try makeDirectory(directory + "/first/tree")
      try relink(directory + "/place", to: "first")
    case .directoryAbove:
      try makeDirectory(directory + "/place/tree")
    }
  }

  private func retarget(_ way: Way, in directory: String) throws {
    switch way {
    case .link:
      try makeDirectory(directory + "/second")
      try relink(directory + "/tree", to: "second")
    case .linkAbove:
      try makeDirectory(directory + "/second/tree")
      try relink(directory + "/place", to: "second")
    case .directoryAbove:
      try makeDirectory(directory + "/second/tree")
      try #require(rename(directory + "/place", directory + "/first") == 0)
      try #require(rename(directory + "/second", directory + "/place") == 0)
    }
  }

  private func run(
    _ way: Way, interval: Duration?, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval)
    configuration.root = way.root
    let mirror = try await LaneUnderTest(store, configuration) { root, _ in
      try begin(way, in: String(root.dropLast(way.root.utf8.count + 1)))
    }
    try await mirror.start()
    try mirror.write("a", "one")
    try mirror.write("d/b", "two")
    try await mirror.lane.flush()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-10"), arguments: Way.allCases, [Duration.zero, .milliseconds(20)])
  func `the next check notices that the root is another directory, and publishes that`(
    way: Way, interval: Duration
  ) async throws {
    try await run(way, interval: interval) { mirror, store in
      try retarget(way, in: mirror.directory)
      try await mirror.wait(forNotice: "another directory is at \(mirror.tree) now")
      try mirror.write("c", "three")
      try await mirror.wait(for: "c", toBe: "three", in: store)
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
      #expect(report.withheld.map(\.path) == ["a", "d/b"])
      #expect(report.failures == [])
    }
  }

  @Test(.promise("WATCH-10"), arguments: Way.allCases)
  func `a flush publishes the directory that is there now`(way: Way) async throws {
    try await run(way, interval: nil) { mirror, store in
      try retarget(way, in: mirror.directory)
      try mirror.write("c", "three")
      try await mirror.lane.flush()
      #expect(await store.text("t/c") == "three")
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
      #expect(report.withheld.map(\.path) == ["a", "d/b"])
    }
  }

  @Test(.promise("WATCH-10"), arguments: Way.allCases)
  func `the exit publishes the directory that is there now`(way: Way) async throws {
    try await run(way, interval: nil) { mirror, store in
      try retarget(way, in: mirror.directory)
      try mirror.write("c", "three")
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
      #expect(report.withheld.map(\.path) == ["a", "d/b"])
    }
  }

  @Test(arguments: Way.allCases)
  func `a pass publishes nothing of a directory that is no longer the root`(way: Way) async throws {
    try await run(way, interval: .zero) { mirror, store in
      try retarget(way, in: mirror.directory)
      let place = mirror.directory + "/first" + (way == .link ? "" : "/tree")
      try DiskFiles().write(place + "/late", "late")
      try await mirror.wait(forNotice: "another directory is at")
      try mirror.write("c", "three")
      try await mirror.lane.flush()
      await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
    }
  }
}
