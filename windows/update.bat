@echo off
rem Updates vrmatte: takes the newest files where this folder is a clone of git, then installs.
setlocal EnableExtensions DisableDelayedExpansion
for %%R in ("%~dp0..") do set "ROOT=%%~fR"
if not exist "%ROOT%\.git" goto unpacked
git -C "%ROOT%" pull --ff-only || goto failed
goto install

:unpacked
echo This folder was unpacked from a zip file: unpack the newest one over it, then run this again.
echo Packages are updated now.

:install
call "%ROOT%\install.bat"
exit /b %ERRORLEVEL%

:failed
echo The newest files could not be fetched; nothing was changed.
if not defined VRMATTE_NO_PAUSE pause
exit /b 1
