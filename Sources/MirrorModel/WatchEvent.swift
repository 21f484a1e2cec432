// MirrorModel: what changed, what is due and in which order, as values. No I/O, no clock, no threads.
//
// Glossary
//
// event          one change in the tree, as the watch reports it
// dirty path     a path that changed, or may have changed, since it was last published
// dirty set      all dirty paths of one upload, and the directories to be compared
// pass           one round of publishing; it takes a batch of dirty paths
// tick           a pass that the interval starts; `flush`: one that a caller waits for; `drain`: one at the
//                end of a run
// whole          said of a version that counts as complete: closed, found, or renamed to its path
// in flight      said of a publication that goes on after its pass has ended
// back-off       the time for which a path is not tried again after a failure
// probe          a try of one path, to find out whether the service answers; also a check whether a file has
//                a writer
// stamp          a file's version as lstat(2) shows it: device, inode, size, mtime, ctime
// proof          why bytes that were read are one whole version of the file: closed, leased, reread
// snapshot       a version of an open file of `appendNames`, proved by two equal reads
// grace          how long an open file of `appendNames` waits for its close before a snapshot of it is
//                published
// settle         how long a change must have been quiet with interval 0, and the time between two reads
// commit marker  a file that shows readers that other files are complete: `latest`, an index. It covers
//                these files and is published after them
// gate           a directory that contains commit markers of a batch; it opens when their data are published
// withdrawal     the delete of a commit marker on S3 before data that it covers are overwritten. The marker
//                is published again after the data
// in-progress mark  a file such as `X-unfinished` that shows readers that X is incomplete. It announces
//                   changes of X and is published before them
// temporary name a name that a program gives a file until the file is whole; it is never published
// unit           a directory whose files appear on S3 together; in a restore also the files of one checkpoint
// tracker        a small file that names the newest checkpoint: `latest`, `last_checkpoint`
// receipt        an object that lists the objects of one published unit
// retention      the removal of old complete checkpoints from S3
// retired        said of a checkpoint that exists here and is not published, because retention would remove
//                it from S3 again
// deadline order the order in which data begin if the end has a time limit: one checkpoint after the other
// evidence       what an earlier run knew of a path: the ETag of the object to which the file was equal, and
//                the file's stamp
// staged         said of a large file whose bytes are on the server, as an upload that waits to be completed
// collapse       to replace the dirty paths of one directory by a comparison of the directory, where they are
//                too many
// rescan         a comparison of a part of the tree, because events of it may be missing
// origin         the name under which a renamed file was last published; its object stays until the new name
//                is published
// heir           the new name of such a file
// further name   a name of a file that has other names too (hard links)
// followed link  a symbolic link that is followed; its target has no watch
// pointer        a symbolic link whose object has the content of a file inside of the root, its target
// alias          a further name or a followed link: its content may change without an event that bears this
//                name
// reckoning      the version of a file that is published or dirty under an alias; any other version is a
//                change
// directory marker  a zero-byte object that stands for an empty directory; its path is a `DirectoryMarker`
// recheck        to compare a path with its file again although no change of it is known
// suspect        a file and an object of equal size whose times do not show whether their contents are equal
// withheld       said of a delete that the guard does not allow now
// drift          a difference that a comparison found and no event had reported
// recovery point the age of the oldest change that is not on S3

/// One change in a watched tree, decoded from the kernel's record and named by its path below the root.
package enum WatchEvent: Sendable, Hashable {
  /// A file appeared under this name. Nothing shows yet whether a process is writing it (IN_CREATE).
  case created(RelativePath)
  /// The file has further names (link(2)). This event follows the first event of the name.
  case linked(RelativePath)
  /// A file was written or truncated, and that writer has not closed it yet (IN_MODIFY).
  case modified(RelativePath)
  /// A descriptor that was open for writing was closed (IN_CLOSE_WRITE).
  case closed(RelativePath)
  /// Metadata changed (IN_ATTRIB). Nothing is published for it.
  case attributes(RelativePath)
  /// A file was unlinked, or renamed to a place outside the root (IN_DELETE, unpaired IN_MOVED_FROM).
  case deleted(RelativePath)
  /// A file was renamed within the root (IN_MOVED_FROM and IN_MOVED_TO with one cookie), or was below a
  /// renamed directory: the watcher reports every file below a renamed directory in this way.
  case renamed(from: RelativePath, to: RelativePath)
  /// A file was found by scanning a directory that is new, moved in or newly watched. Earlier events of the
  /// file may be missing.
  case found(RelativePath)
  /// A file or directory has, or had, a name that is not UTF-8 and so cannot be a key. The last name of the
  /// path is the `RelativePath.escaping` of that name.
  case undecodable(RelativePath)
  /// A directory was created, moved in or found, and is watched now. Its files follow as `found`.
  case directoryAppeared(RelativePath)
  /// A directory was removed. The events of its children came before.
  case directoryDeleted(RelativePath)
  /// A directory was renamed within the root. Its files follow as `renamed`.
  case directoryRenamed(from: RelativePath, to: RelativePath)
  /// A directory was moved out of the root. Everything published below it has left the tree; no event names
  /// the files.
  case directoryMovedAway(RelativePath)
  /// Events of this directory and of everything below it were lost or are not available. The directory must
  /// be compared.
  case rescan(RelativePath, RescanReason)
  /// The root itself was deleted, moved away or unmounted. This never means that every file was deleted.
  case rootLost
}

/// Why a part of the tree must be compared although it has a watch, or because it has none.
package enum RescanReason: Sendable, Hashable {
  /// IN_Q_OVERFLOW: the kernel dropped events (`fs.inotify.max_queued_events`).
  case queueOverflow
  /// ENOSPC from inotify_add_watch(2): `fs.inotify.max_user_watches`, or `user.max_inotify_watches` in a user
  /// namespace.
  case watchLimit
  /// EMFILE from inotify_init1(2): `fs.inotify.max_user_instances`.
  case instanceLimit
  /// The filesystem does not report changes by remote writers (NFS, Lustre, FUSE, 9p, SMB …). The name is the
  /// kernel's.
  case unwatchedFilesystem(String)
  /// A directory cannot be read or watched, with its errno.
  case unreadable(Int32)
  /// A symbolic link is followed. Its target has no watch.
  case followedLink
  /// A filesystem was mounted or unmounted there. Other files are visible than before, and no events reported
  /// them.
  case remounted
  /// So many paths changed that one comparison of the directory costs less than the list of paths.
  case collapsed

  /// Whether the reason lasts until a user removes it. If so, the directory is compared at every tick.
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
