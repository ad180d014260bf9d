//! An HTTP connection that costs a benchmark little: what is measured is the other side.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::Failed;

/// A connection that is kept.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Opens one to `host`, which has its port.
    pub fn open(host: &str) -> Result<Self, Failed> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer; returns the status.
    pub fn exchange(&mut self, request: &[u8]) -> Result<u16, Failed> {
        self.0.get_mut().write_all(request)?;
        let line = self.line()?;
        let status = line.split(' ').nth(1).ok_or_else(|| format!("no status line but {line:?}"))?.parse()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        if chunked {
            self.skip_chunks()?;
        } else {
            self.skip(length)?;
        }
        Ok(status)
    }

    fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Failed> {
        std::io::copy(&mut (&mut self.0).take(bytes), &mut std::io::sink())?;
        Ok(())
    }

    fn skip_chunks(&mut self) -> Result<(), Failed> {
        loop {
            let size = u64::from_str_radix(&self.line()?, 16)?;
            self.skip(size + 2)?; // with the line end
            if size == 0 {
                return Ok(());
            }
        }
    }
}
