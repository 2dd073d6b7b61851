//! For file systems of tests that are the disk in most of what they do.

/// The named methods of `FileSystem`, as the disk has them; behind the name of a field and a colon, those of `FileHandle`, as the file in that field has them.
/// Where it is used, the types that occur in the methods, `Disk` and `io` are in scope.
macro_rules! of_disk {
    (kind) => {
        fn kind(&self, path: &Path) -> io::Result<FileType> {
            Disk.kind(path)
        }
    };
    (make_folder) => {
        fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
            Disk.make_folder(path, is_private)
        }
    };
    (open) => {
        fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            Disk.open(path)
        }
    };
    (open_own) => {
        fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            Disk.open_own(path)
        }
    };
    (check_own_folder) => {
        fn check_own_folder(&self, path: &Path) -> io::Result<()> {
            Disk.check_own_folder(path)
        }
    };
    (read) => {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            Disk.read(path)
        }
    };
    (rename) => {
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            Disk.rename(from, to)
        }
    };
    (rename_new) => {
        fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
            Disk.rename_new(from, to)
        }
    };
    (remove) => {
        fn remove(&self, path: &Path) -> io::Result<()> {
            Disk.remove(path)
        }
    };
    (names) => {
        fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
            Disk.names(folder)
        }
    };
    (lock) => {
        fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            Disk.lock(path)
        }
    };
    (sync_folder) => {
        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            Disk.sync_folder(folder)
        }
    };
    (of $file:tt read_at) => {
        fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
            self.$file.read_at(buffer, place)
        }
    };
    (of $file:tt size) => {
        fn size(&self) -> io::Result<u64> {
            self.$file.size()
        }
    };
    (of $file:tt truncate) => {
        fn truncate(&self, size: u64) -> io::Result<()> {
            self.$file.truncate(size)
        }
    };
    (of $file:tt sync) => {
        fn sync(&self) -> io::Result<()> {
            self.$file.sync()
        }
    };
    (of $file:tt hold) => {
        fn hold(&self) -> io::Result<()> {
            self.$file.hold()
        }
    };
    (of $file:tt has_name) => {
        fn has_name(&self, name: &Path) -> io::Result<bool> {
            self.$file.has_name(name)
        }
    };
    ($file:tt: $($method:ident)*) => {
        $(of_disk!(of $file $method);)*
    };
    ($($method:ident)*) => {
        $(of_disk!($method);)*
    };
}
pub(crate) use of_disk;
