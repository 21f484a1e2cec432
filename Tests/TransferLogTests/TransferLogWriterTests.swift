import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import TransferLog

@Suite struct TransferLogWriterTests {
  private let scratch: ScratchDirectory
  private let messages = Messages()
  private let time: ManualTime

  init() throws {
    scratch = try ScratchDirectory()
    time = ManualTime(try #require(UTCTime(rfc3339: "2025-11-22T23:59:58Z")))
  }

  private func writer(
    in directory: FilePath? = nil, mirror: String = "run", keepDays: Int? = nil,
    maxFileBytes: Int64 = 1 << 20,
    clock: any Clock<Duration> = ManualClock()
  ) -> TransferLogWriter {
    TransferLogWriter(
      directory: directory ?? scratch.path, mirror: mirror, keepDays: keepDays, maxFileBytes: maxFileBytes,
      now: time.now, clock: clock, onFailure: messages.add)
  }

  private func paths(_ directory: FilePath? = nil) throws -> [FilePath] {
    let directory = directory ?? scratch.path
    return try TransferLogFile.all(in: directory).map { directory.appending($0.name) }
  }

  @Test func `a file is a whole gzip file at every sync point, while the run goes on`() throws {
    let log = writer()
    for number in 1...20 {
      log.append(.numbered(number))
      log.sync()
      let seen = try Gunzip(try #require(log.currentPath))
      #expect(seen.status == 0)
      #expect(seen.lines == (1...number).map { TransferRecord.numbered($0).jsonLine })
    }
    #expect(messages.all.isEmpty)
  }

  @Test func `after SIGKILL zcat prints what was synced`() async throws {
    let directory = scratch.path.string
    await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
      let log = TransferLogWriter(
        directory: FilePath(directory), mirror: "run", onFailure: { fatalError($0) })
      for number in 1...3 { log.append(.numbered(number)) }
      log.sync()
      log.append(.numbered(4))
      kill(getpid(), SIGKILL)
    }
    let seen = try Gunzip(try #require(try paths().first))
    #expect(seen.status == 0)
    #expect(seen.lines == (1...3).map { TransferRecord.numbered($0).jsonLine })
  }

  @Test func `a record is in the file one second later, and nothing wakes while none waits`() async throws {
    let clock = ManualClock()
    let log = writer(clock: clock)
    var sleeps = clock.asleep.makeAsyncIterator()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await log.run() }
      for number in 1...3 {
        log.append(.numbered(number))
        // The stream holds every sleep: one more than these would be found here as the next one's.
        #expect(await sleeps.next() == .seconds(1))
        #expect(log.currentPath == nil || number > 1)
        clock.advance(by: .seconds(1))
        try await fileHolds(number)
      }
      log.append(.numbered(4))
      group.cancelAll()
    }
    let path = try #require(log.currentPath)
    #expect(try Gunzip(path).lines.count == 4)
    log.close()
  }

  /// Waits until that many records can be read.
  private func fileHolds(_ count: Int) async throws {
    try await eventually("the file holds \(count) records") {
      try TransferLogReader(directory: scratch.path).all().records.count == count
    }
  }

  @Test func `closing writes the rest and ends the run`() async throws {
    let log = writer()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await log.run() }
      log.close()
    }
    let second = writer()
    second.append(.numbered(1))
    second.close()
    #expect(try Gunzip(try #require(try paths().first)).lines.count == 1)
    second.append(.numbered(2))
    #expect(second.droppedRecords == 1)
    #expect(messages.all.count == 1)
  }

  @Test func `each UTC day has its own file`() throws {
    let log = writer()
    log.append(.numbered(1))
    time.set(time.now().adding(seconds: 2))
    log.append(.numbered(2))
    log.close()
    let names = try scratch.names()
    #expect(names.count == 2)
    #expect(names.first?.hasPrefix("run-2025-11-22-235958-") == true)
    #expect(names.last?.hasPrefix("run-2025-11-23-235958-") == true)
    #expect(try paths().map { try Gunzip($0).lines.count } == [1, 1])
  }

  @Test func `a file past its bound is followed by another`() throws {
    let log = writer(maxFileBytes: 600)
    for number in 1...30 {
      log.append(.numbered(number))
      log.sync()
    }
    log.close()
    let files = try TransferLogFile.all(in: scratch.path)
    #expect(files.count > 2)
    #expect(files.map(\.sequence) == Array(1...files.count))
    for path in try paths() {
      // At most the bound and one more member.
      #expect(try scratch.bytes(of: path).count < 900)
      #expect(try Gunzip(path).status == 0)
    }
    #expect(
      try TransferLogReader(directory: scratch.path).all().records
        == (1...30).map { TransferRecord.numbered($0) })
  }

  @Test func `a file is never appended to by another run`() throws {
    let first = writer()
    first.append(.numbered(1))
    first.sync()
    let path = try #require(first.currentPath)
    let before = try scratch.bytes(of: path)
    // The same second and process: the name is taken.
    let second = writer()
    second.append(.numbered(2))
    second.close()
    #expect(try scratch.bytes(of: path) == before)
    #expect(try scratch.names().count == 2)
    #expect(messages.all.isEmpty)
  }

  @Test func `a log that cannot be written is said once, and stops nothing`() throws {
    let blocked = try scratch.write([], as: "blocked")
    let log = writer(in: blocked.appending("log"))
    for number in 1...5 {
      log.append(.numbered(number))
      log.sync()
    }
    #expect(messages.all.count == 1)
    #expect(messages.all.first?.contains(blocked.string) == true)
    // Nothing is lost when the cause goes away.
    try FileManager.default.removeItem(atPath: blocked.string)
    log.append(.numbered(6))
    log.close()
    let read = try TransferLogReader(directory: blocked.appending("log")).all()
    #expect(read.records == (1...6).map { TransferRecord.numbered($0) })
    #expect(log.droppedRecords == 0)
  }

  @Test func `memory for what cannot be written is bounded`() throws {
    let blocked = try scratch.write([], as: "blocked")
    let log = writer(in: blocked)
    let error = String(repeating: "e", count: 100_000)
    for number in 1...100 { log.append(.numbered(number, error: error)) }
    log.close()
    // 4 MiB hold 41 lines of 100 kB; closing drops those too.
    #expect(log.droppedRecords == 100)
    #expect(messages.all.count == 2)
    #expect(messages.all.last?.contains("dropped") == true)
    try FileManager.default.removeItem(atPath: blocked.string)
  }

  @Test func `a write that breaks off is taken back and tried again`() async throws {
    let directory = scratch.path.string
    await #expect(processExitsWith: .success) { [directory = directory as String] in
      // A full disk, as far as a process can have one of its own: EFBIG past 4,000 bytes.
      signal(SIGXFSZ, SIG_IGN)
      let fileSize = __rlimit_resource_t(1)  // RLIMIT_FSIZE, getrlimit(2)
      var limit = rlimit()
      getrlimit(fileSize, &limit)
      limit.rlim_cur = 4000
      setrlimit(fileSize, &limit)
      let messages = Messages()
      let log = TransferLogWriter(directory: FilePath(directory), mirror: "run", onFailure: messages.add)
      for number in 1...60 {
        log.append(.numbered(number))
        log.sync()
      }
      guard messages.all.count == 1 else { fatalError("\(messages.all)") }
      limit.rlim_cur = limit.rlim_max
      setrlimit(fileSize, &limit)
      log.close()
      guard messages.all.count == 1, log.droppedRecords == 0 else { fatalError("\(messages.all)") }
    }
    let path = try #require(try paths().first)
    #expect(try paths().count == 1)
    let seen = try Gunzip(path)
    #expect(seen.status == 0)
    #expect(seen.lines == (1...60).map { TransferRecord.numbered($0).jsonLine })
  }

  @Test func `lines are not written to a file that was removed`() throws {
    let log = writer()
    log.append(.numbered(1))
    log.sync()
    let removed = try #require(log.currentPath)
    try FileManager.default.removeItem(atPath: removed.string)
    log.append(.numbered(2))
    log.close()
    #expect(try TransferLogReader(directory: scratch.path).all().records == [.numbered(2)])
  }

  @Test func `old files of the same mirror are removed at the start, and at each new day`() throws {
    let kept = [
      "run-2025-11-20-000000-1.jsonl.gz", "other-2020-01-01-000000-1.jsonl.gz", "run-2020-01-01.jsonl.gz",
      "run-b-2020-01-01-000000-1.jsonl.gz",
    ]
    for name in kept + ["run-2025-11-19-235959-1.jsonl.gz", "run-2020-01-01-000000-1-2.jsonl.gz"] {
      _ = try scratch.write([], as: name)
    }
    let log = writer(keepDays: 2)
    #expect(Set(try scratch.names()) == Set(kept))
    time.set(time.now().adding(seconds: 2))
    log.sync()
    #expect(Set(try scratch.names()) == Set(kept.dropFirst()))
    #expect(messages.all.isEmpty)
  }

  @Test func `directories and files are for this user only`() throws {
    let directory = scratch.path.appending("state").appending("log")
    let log = writer(in: directory)
    log.append(.numbered(1))
    log.close()
    let modes = try ([directory.removingLastComponent(), directory] + paths(directory)).map { path in
      try FileManager.default.attributesOfItem(atPath: path.string)[.posixPermissions] as? Int
    }
    #expect(modes == [0o700, 0o700, 0o600])
  }

  @Test func `a run without transfers leaves no file`() throws {
    writer().close()
    #expect(try scratch.names().isEmpty)
  }

  @Test func `records of many threads all arrive, each whole`() async throws {
    let log = writer(maxFileBytes: 1 << 30)
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask {
          for number in 0..<1000 { log.append(.numbered(worker * 1000 + number)) }
        }
      }
    }
    log.close()
    let read = try TransferLogReader(directory: scratch.path).all()
    #expect(Set(read.records) == Set((0..<8000).map { TransferRecord.numbered($0) }))
    #expect(read.tally.badLines == 0)
    #expect(log.droppedRecords == 0)
  }
}
