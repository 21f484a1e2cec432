import Foundation
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import LocalSocket

/// What an attempt leaves behind that fails.
@Suite(.serialized) struct SocketFailureTests {
  private let place: TemporaryDirectory
  private let directory: SocketDirectory

  init() throws {
    place = try TemporaryDirectory()
    directory = try SocketDirectory(path: FilePath(place["sockets"]), absence: .isMade)
    try place.makeDirectory("open")
    #expect(chmod(place["open"], 0o770) == 0)
    try place.write("open/file", "")
  }

  enum Attempt: CaseIterable {
    case toConnect
    case toListen
    case toOpenTheDirectory
  }

  /// Longer than a name may be, together with what is added to a name that is not ready.
  private static let longName = String(repeating: "n", count: 252)

  /// A second close met the other thread in 7 to 107 of so many.
  private static let attempts = 3_000

  private func carryOut(_ attempt: Attempt) throws {
    switch attempt {
    case .toConnect: _ = try LineClient(name: "absent", in: directory)
    case .toListen: _ = try ListeningSocket(name: Self.longName, in: directory)
    case .toOpenTheDirectory:
      _ = try SocketDirectory(path: FilePath(place["open"]), absence: .isAnError)
    }
  }

  /// A descriptor that is closed twice may be another thread's by then.
  @Test(arguments: Attempt.allCases) func `a failure closes no descriptor of another thread`(
    attempt: Attempt
  ) {
    let other = OtherThread(place["open/file"])
    Thread { other.work() }.start()
    var failures = 0
    for _ in 0..<Self.attempts {
      do { try carryOut(attempt) } catch { failures += 1 }
    }
    other.isOver.store(true, ordering: .releasing)
    #expect(failures == Self.attempts)
    #expect(other.opened.load(ordering: .relaxed) > 0)
    #expect(other.lost.load(ordering: .relaxed) == 0)
  }

  @Test func `a socket that cannot be made removes no name`() throws {
    try place.write("sockets/" + Self.longName, "another's")
    #expect(throws: SocketError.self) { try carryOut(.toListen) }
    #expect(access(place["sockets/" + Self.longName], F_OK) == 0)
  }
}

/// Opens and closes a file over and over. The file is the test's own, because a descriptor that is taken from another
/// thread may get a new mode.
private final class OtherThread: Sendable {
  private let path: String
  let isOver = Atomic(false)
  let opened = Atomic(0)
  /// How often the file was not its own any more.
  let lost = Atomic(0)

  init(_ path: String) { self.path = path }

  func work() {
    while !isOver.load(ordering: .acquiring) {
      let file = open(path, O_RDWR | O_CLOEXEC)
      opened.add(1, ordering: .relaxed)
      if close(file) != 0 { lost.add(1, ordering: .relaxed) }
    }
  }
}
