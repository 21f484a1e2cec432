import SystemPackage
import TestSupport
import Testing

@testable import LocalTree

@Suite struct MountTableTests {
  private static let sample = """
    22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
    30 22 0:25 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
    41 22 0:40 / /home/a\\040b rw,relatime shared:9 master:1 - nfs4 server:/export rw,vers=4.2
    42 22 0:41 / /data/scratch rw - fuse.sshfs host:/x rw
    43 22 0:42 / /data/cache rw - tmpfs none rw
    a line that is none
    """

  @Test func `mounts are read as the kernel writes them`() {
    let table = MountTable(mountinfo: Self.sample)
    #expect(
      table.mounts.map(\.point.string) == ["/", "/dev/shm", "/home/a b", "/data/scratch", "/data/cache"])
    #expect(table.mounts.map(\.type) == ["ext4", "tmpfs", "nfs4", "fuse.sshfs", "tmpfs"])
  }

  @Test(arguments: [
    ("/", true), ("/home", true), ("/home/a b", false), ("/data", true), ("/data/scratch", false),
    ("/data/cache", false), ("/dev", false), ("/dat", false),
  ])
  func `a foreign mount counts for the directories above it`(directory: String, isForeign: Bool) {
    #expect(MountTable(mountinfo: Self.sample).hasForeignMount(below: FilePath(directory)) == isForeign)
  }

  @Test func `this machine's own table can be read`() throws {
    #expect(try MountFile().read().mounts.contains { $0.point == "/" })
  }

  @Test func `a root is local throughout unless links lead out of it`() throws {
    let directory = try TemporaryDirectory()
    let path = FilePath(directory.path)
    let root = try TreeRoot(path: path)
    #expect(root.isLocalThroughout == root.isLocal)
    #expect(try !TreeRoot(path: path, symlinks: .follow).isLocalThroughout)
  }
}
