// MirrorModel: what changed, what is due and in which order, as values. No I/O, no clock, no threads.
//
// Glossary
//
// event          one change in the tree, as the watch reports it
// dirty path     a path that changed, or may have changed, since it was last published
// dirty set      all dirty paths of one upload, and the directories to be compared
// pass           one round of publishing; it takes a batch of dirty paths
// tick           a pass that the interval starts; `flush`: one that a caller waits for; `drain`: one at the end of a run
// stamp          a file's version as lstat(2) shows it: device, inode, size, mtime, ctime
// proof          why bytes that were read are one whole version of the file: closed, leased, reread
// snapshot       a version of an open file of `appendNames`, proved by two equal readings
// grace          how long an open file of `appendNames` waits for its close before a snapshot of it is published
// settle         how long a change must have been quiet with interval 0, and the time between two readings
// commit marker  a file that tells readers that other files are complete: `latest`, an index. It is published after them
// in-progress mark  a file such as `X-unfinished` that tells readers that X is incomplete. It is published before X changes
// unit           a directory whose files appear on S3 together
// staged         said of a large file whose bytes are on the server, as an upload that waits to be completed
// collapse       to replace the dirty paths of one directory by a comparison of the directory, where they are too many
// rescan         a comparison of a part of the tree, because events of it may be missing
// origin         the name under which a renamed file was last published; its object stays until the new name is published
// heir           the new name of such a file
// further name   a name of a file that has others (hard links)
// followed link  a symbolic link that is followed; what it leads to has no watch
// alias          a further name or a followed link: its content may change without an event that bears it
// directory marker  a zero-byte object that stands for an empty directory; its path is a `DirectoryMarker`
// recheck        a path that is only looked at again; nothing is known to have changed
// suspect        a file and an object of equal size whose times leave it open whether their contents are equal
// withheld       said of a delete that the guard does not allow now
// drift          a difference that a comparison found and no event had reported
// recovery point the age of the oldest change that is not on S3

/// One change in a watched tree, decoded from the kernel's record and named by its path below the root.
package enum WatchEvent: Sendable, Hashable {
  /// A file appeared under this name; nothing tells yet whether it is being written (IN_CREATE).
  case created(RelativePath)
  /// The name belongs to a file that has others (link(2)). It follows the event by which the name was met.
  case linked(RelativePath)
  /// A file was written or truncated, and that writer has not closed it yet (IN_MODIFY).
  case modified(RelativePath)
  /// A descriptor that was open for writing was closed (IN_CLOSE_WRITE).
  case closed(RelativePath)
  /// Metadata changed (IN_ATTRIB): a suspect, not a push.
  case attributes(RelativePath)
  /// A file was unlinked, or renamed to a place outside the root (IN_DELETE, unpaired IN_MOVED_FROM).
  case deleted(RelativePath)
  /// A file was renamed within the root (IN_MOVED_FROM and IN_MOVED_TO of one cookie), or came along with its
  /// directory: the watcher reports every file below a renamed directory so.
  case renamed(from: RelativePath, to: RelativePath)
  /// A file was met while scanning a directory that is new, moved in or newly watched; events of its past may be missing.
  case found(RelativePath)
  /// Something has, or had, a name that is not UTF-8 and so cannot be a key. The path's last name is that name's
  /// `RelativePath.escaping`.
  case undecodable(RelativePath)
  /// A directory was created, moved in or found, and is watched now; its files follow as `found`.
  case directoryAppeared(RelativePath)
  /// A directory was removed; its children's own events came before.
  case directoryDeleted(RelativePath)
  /// A directory was renamed within the root; its files follow as `renamed`.
  case directoryRenamed(from: RelativePath, to: RelativePath)
  /// A directory was moved out of the root: everything published below it is gone from here, unnamed.
  case directoryMovedAway(RelativePath)
  /// Events about this directory and all below it were lost or cannot be had: compare it.
  case rescan(RelativePath, RescanReason)
  /// The root itself was deleted, moved away or unmounted. Never "everything was deleted".
  case rootLost
}

/// Why a part of the tree must be compared instead of being trusted to its events.
package enum RescanReason: Sendable, Hashable {
  /// IN_Q_OVERFLOW: the kernel dropped events (`fs.inotify.max_queued_events`).
  case queueOverflow
  /// ENOSPC from inotify_add_watch(2): `fs.inotify.max_user_watches`, or `user.max_inotify_watches` in a user namespace.
  case watchLimit
  /// EMFILE from inotify_init1(2): `fs.inotify.max_user_instances`.
  case instanceLimit
  /// The filesystem does not tell of remote writers (NFS, Lustre, FUSE, 9p, SMB …). The name is the kernel's.
  case unwatchedFilesystem(String)
  /// A directory that cannot be read or watched, with its errno.
  case unreadable(Int32)
  /// A symbolic link that is followed: what it leads to has no watch.
  case followedLink
  /// A filesystem was mounted or unmounted there: what is in sight is other than before, and no event told of each file.
  case remounted
  /// So many paths changed that the directory is cheaper to compare than to list.
  case collapsed

  /// Whether it lasts until somebody mends it, so that the directory is to be compared at every tick.
  package var isStanding: Bool {
    switch self {
    case .watchLimit, .instanceLimit, .unwatchedFilesystem, .unreadable, .followedLink: true
    case .queueOverflow, .collapsed, .remounted: false
    }
  }
}

extension WatchEvent {
  /// The file of which the event may be the first.
  var newFile: RelativePath? {
    switch self {
    case .created(let path), .found(let path), .closed(let path), .renamed(_, let path): path
    default: nil
    }
  }
}
