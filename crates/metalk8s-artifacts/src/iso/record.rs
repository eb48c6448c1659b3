//! One directory record (ECMA-119, 9.1) and the system use fields behind it (SUSP, Rock Ridge).

/// What a record says, before anything of it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The name by Rock Ridge, else the ISO's own in lower case without version; raw bytes.
    pub(super) name: Vec<u8>,
    /// First block.
    pub(super) block: u32,
    /// Length in bytes.
    pub(super) length: u32,
    /// Whether it is a folder.
    pub(super) folder: bool,
    /// Whether the next record of the same name continues this file.
    pub(super) continues: bool,
    /// File mode by Rock Ridge.
    pub(super) mode: Option<u32>,
    /// `.` or `..`.
    pub(super) special: bool,
    /// Whether the name is one of Rock Ridge.
    pub(super) long: bool,
    /// Where more system use fields are: block, offset, length.
    pub(super) more: Option<(u32, u32, u32)>,
}

const FLAG_FOLDER: u8 = 0x02;
const FLAG_CONTINUES: u8 = 0x80;

/// Reads the record at the beginning of `bytes`, which is exactly one record.
/// `skip` is what SUSP's `SP` field tells to leave out. Errors say what is wrong.
pub(super) fn parse(bytes: &[u8], skip: usize) -> Result<Record, &'static str> {
    if bytes.len() < 34 {
        return Err("a record is too short");
    }
    let name_length = usize::from(bytes[32]);
    let name = bytes.get(33..33 + name_length).ok_or("a name leaves its record")?;
    if name.is_empty() {
        return Err("a name is empty");
    }
    if bytes[26] != 0 || bytes[27] != 0 {
        return Err("a file is interleaved");
    }
    let special = matches!(name, [0] | [1]);
    let system_use = (33 + name_length).next_multiple_of(2) + if special { 0 } else { skip };
    let mut record = Record {
        name: plain_name(name),
        // An extended attribute record lies before the data.
        block: little(&bytes[2..6]).checked_add(u32::from(bytes[1])).ok_or("a block number is too large")?,
        length: little(&bytes[10..14]),
        folder: bytes[25] & FLAG_FOLDER != 0,
        continues: bytes[25] & FLAG_CONTINUES != 0,
        mode: None,
        special,
        long: false,
        more: None,
    };
    let mut long_name = Vec::new();
    record.fields(bytes.get(system_use..).unwrap_or_default(), &mut long_name)?;
    record.take_name(long_name);
    Ok(record)
}

impl Record {
    /// Reads system use fields; parts of a Rock Ridge name are added to `long_name`.
    pub(super) fn fields(&mut self, mut bytes: &[u8], long_name: &mut Vec<u8>) -> Result<(), &'static str> {
        self.more = None;
        while bytes.len() >= 4 {
            let length = usize::from(bytes[2]);
            if length == 0 {
                break;
            }
            if length < 4 || length > bytes.len() {
                return Err("a system use field leaves its record");
            }
            let (field, rest) = bytes.split_at(length);
            match &field[..2] {
                b"NM" if length > 5 && field[4] & 0x06 == 0 => long_name.extend(&field[5..]),
                b"PX" if length >= 12 => self.mode = Some(little(&field[4..8])),
                b"CE" if length >= 28 => {
                    self.more = Some((little(&field[4..8]), little(&field[12..16]), little(&field[20..24])));
                }
                b"CL" | b"RE" => return Err("a folder was moved, which is not supported"),
                b"ST" => break,
                _ => {}
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Takes the Rock Ridge name, when there is one.
    pub(super) fn take_name(&mut self, long_name: Vec<u8>) {
        if !long_name.is_empty() && !self.special {
            self.name = long_name;
            self.long = true;
        }
    }
}

/// How many bytes SUSP's `SP` field, in the root's first record, tells to skip; `None` without SUSP.
pub(super) fn susp_skip(first_record: &[u8]) -> Option<usize> {
    let fields = first_record.get(34..)?;
    (fields.len() >= 7 && &fields[..2] == b"SP" && fields[4] == 0xbe && fields[5] == 0xef)
        .then(|| usize::from(fields[6]))
}

fn plain_name(name: &[u8]) -> Vec<u8> {
    let end = name.iter().position(|byte| *byte == b';').unwrap_or(name.len());
    let name = name[..end].to_ascii_lowercase();
    name.strip_suffix(b".").map(<[u8]>::to_vec).unwrap_or(name)
}

fn little(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
