import CLinux
import Foundation
import Glibc
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree

@Suite struct LocalFileTests {
  private func open(_ name: RelativePath, in tree: TemporaryDirectory) throws -> LocalFile {
    try #require(try tree.root().open(name))
  }

  @Test func `a part is read whole, and short only at the file's end`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("file", "0123456789")
    let file = try open("file", in: tree)
    file.advise(.sequential)
    let buffer = PartBuffer(capacity: 4)
    for (offset, expected) in [(0, "0123"), (3, "3456"), (8, "89"), (10, ""), (20, "")] {
      try buffer.fill(from: file, at: Int64(offset), byteCount: 4)
      #expect(buffer.count == expected.utf8.count)
      #expect(buffer.withBytes { String(decoding: $0, as: UTF8.self) } == expected)
    }
    try buffer.fill(from: file, at: 0, byteCount: 2)
    #expect(buffer.withBytes { Array($0) } == Array("01".utf8))
    file.advise(.dontNeed(0..<10))
    try buffer.fill(from: file, at: 4, byteCount: 4)
    #expect(buffer.withBytes { Array($0) } == Array("4567".utf8))
  }

  private static let keepsAPageCache: Bool = {
    var filesystem = statfs()
    // ext4, xfs and btrfs, which know RWF_NOWAIT; tmpfs is nothing but cache (linux/magic.h).
    return statfs(FileManager.default.temporaryDirectory.path, &filesystem) == 0
      && [0xEF53, 0x5846_5342, 0x9123_683E].contains(UInt32(truncatingIfNeeded: filesystem.f_type))
  }()

  @Test(.enabled(if: keepsAPageCache))
  func `what was dropped from the page cache is told from what is in it`()
    throws
  {
    let tree = try TemporaryDirectory()
    try tree.write("file", String(repeating: "x", count: 100_000))
    let writer = try SoleWriter(tree["file"])
    // Only clean pages are dropped.
    try writer.synchronize()
    try writer.close()
    let file = try open("file", in: tree)
    #expect(file.isCached(at: 50_000))
    // For a moment after fsync(2) the journal of the filesystem may hold pages, and the kernel does not drop these.
    try blockUntil("the page is dropped") {
      file.advise(.dontNeed(0..<100_000))
      return !file.isCached(at: 50_000)
    }
    try PartBuffer(capacity: 100_000).fill(from: file, at: 0, byteCount: 100_000)
    #expect(file.isCached(at: 50_000))
  }

  @Test func `the stamp moves with the file and stays with it when its name is given away`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("file", "1")
    let file = try open("file", in: tree)
    #expect(try file.currentStamp() == file.stamp)
    try DiskFiles().append(tree["file"], "2")
    #expect(try file.currentStamp().size == 2)
    #expect(try !file.currentStamp().isSameVersion(as: file.stamp))
    try tree.remove("file")
    try tree.write("file", "other")
    #expect(try file.currentStamp().inode == file.stamp.inode)
    #expect(try file.currentStamp().links == 0)
  }
}

/// On tmpfs, which every Linux has there and whose leases are the kernel's own.
@Suite struct WriterProbeTests {
  let tree: TemporaryDirectory
  let file: LocalFile

  init() throws {
    tree = try TemporaryDirectory(in: "/dev/shm")
    try tree.write("file", "0123456789")
    file = try #require(try tree.root().open("file"))
  }

  @Test func `a file that nobody writes has no writer, as often as one asks`() throws {
    #expect(file.probeWriters() == .none)
    #expect(file.probeWriters() == .none)
    // A reader is no writer.
    let reader = try #require(try tree.root().open("file"))
    #expect(file.probeWriters() == .none)
    #expect(reader.probeWriters() == .none)
  }

  @Test(.promise("PUB-3"))
  func `an open descriptor for writing is a writer until it is closed`() throws {
    let writer = try call(open(tree["file"], O_WRONLY | O_CLOEXEC))
    #expect(file.probeWriters() == .present)
    try call(close(writer))
    #expect(file.probeWriters() == .none)
  }

  @Test func `a mapping for writing is a writer although its descriptor is closed`() throws {
    let writer = try call(open(tree["file"], O_RDWR | O_CLOEXEC))
    let mapped = mmap(nil, 10, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0)
    try #require(mapped != MAP_FAILED)
    try call(close(writer))
    #expect(file.probeWriters() == .present)
    try call(munmap(mapped, 10))
    #expect(file.probeWriters() == .none)
  }

  /// After another probe too: with the lease's release the kernel forgets which signal it was given.
  @Test(arguments: [0, 1])
  func `another process that opens the file during the probe neither ends this one nor waits long`(
    probesBefore: Int
  ) throws {
    for _ in 0..<probesBefore { #expect(file.probeWriters() == .none) }
    let writer = Process()
    writer.executableURL = URL(fileURLWithPath: "/bin/sh")
    writer.arguments = ["-c", "printf x >> \"$1\"", "sh", tree["file"]]
    var failure: (any Error)?
    let probe = file.probeWriters(whileLeased: {
      do {
        try writer.run()
        // The kernel has sent its signal when the lease it wants is no longer the one we hold.
        try blockUntil("the lease is broken") { try file.descriptor.lease() != CInt(F_RDLCK) }
      } catch {
        failure = error
      }
    })
    if let failure { throw failure }
    // Reaching this line shows that the signal was harmless: SIGIO, the default, ends the process.
    #expect(probe == .present)
    writer.waitUntilExit()
    #expect(writer.terminationStatus == 0)
    #expect(try tree.text("file") == "0123456789x")
    #expect(file.probeWriters() == .none)
  }

  @Test func `a vigil notes the close of whoever could write, and of nobody else`() throws {
    let other = try #require(try tree.root().open("file"))
    let vigils = [file.keepVigil(), file.keepVigil(), other.keepVigil()]
    _ = try #require(try tree.root().open("file"))
    #expect(vigils.map { $0.finding() } == [.nobody, .nobody, .nobody])
    try call(close(try call(open(tree["file"], O_WRONLY | O_CLOEXEC))))
    #expect(vigils.map { $0.finding() } == [.somebody, .somebody, .somebody])
    #expect(file.keepVigil().finding() == .nobody)
  }

  @Test func `the end of one vigil ends no other of the same file`() throws {
    let last = file.keepVigil()
    do { #expect(file.keepVigil().finding() == .nobody) }
    try call(close(try call(open(tree["file"], O_WRONLY | O_CLOEXEC))))
    #expect(last.finding() == .somebody)
  }

  @Test(.promise("PUB-4"))
  func `a vigil notes a mapping that is gone, whose stores moved no stamp`() throws {
    let vigil = file.keepVigil()
    let writer = try call(open(tree["file"], O_RDWR | O_CLOEXEC))
    let mapped = mmap(nil, 10, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0)
    try #require(mapped != MAP_FAILED)
    try call(close(writer))
    #expect(vigil.finding() == .nobody)
    try call(munmap(mapped, 10))
    #expect(vigil.finding() == .somebody)
  }

  @Test func `a vigil by content finds what is no longer what was read`() throws {
    let vigil = file.keepVigil(by: .content)
    let read = PartBuffer(capacity: 16)
    try read.fill(from: file, at: 0, byteCount: 16)
    #expect(vigil.finding(for: read) == .nobody)
    #expect(vigil.finding() == .unknown)
    let writer = try call(open(tree["file"], O_RDWR | O_CLOEXEC))
    let mapped = mmap(nil, 10, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0)
    try #require(mapped != MAP_FAILED)
    mapped?.storeBytes(of: UInt8(ascii: "x"), as: UInt8.self)
    try call(close(writer))
    try call(munmap(mapped, 10))
    #expect(vigil.finding(for: read) == .somebody)
  }

  @Test(
    arguments: [(0x0102_1994, StampTestimony.notEveryStore), (0xEF53, .everyStore)]
      as [(UInt32, StampTestimony)])
  func `stamps are believed but on filesystems in memory`(magic: UInt32, expected: StampTestimony) {
    // tmpfs, ext4.
    #expect(StampTestimony(magic: magic) == expected)
  }

  @Test(
    arguments: [
      (0xEF53, LeaseTestimony.whole), (0x794C_7630, .refusalOnly), (0x6969, .worthless),
      (0x6573_5546, .worthless),
      (0xFE53_4D42, .worthless), (0x0BD0_0BD0, .worthless),
    ] as [(UInt32, LeaseTestimony)])
  func `leases are believed where all writers are in this kernel`(magic: UInt32, expected: LeaseTestimony) {
    // ext4, overlayfs; NFS, FUSE, SMB, Lustre.
    #expect(LeaseTestimony(magic: magic) == expected)
  }

  @Test(.promise("PUB-3"))
  func `a filesystem without conclusive leases gives no answer`() throws {
    let file = try #require(try TreeRoot(path: "/proc/self").open("status"))
    #expect(file.probeWriters() == .unknown(.notSupported))
  }
}
